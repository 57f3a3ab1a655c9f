// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! Finds the server name in a ClientHello (RFC 8446, sections 4.1.2 and 5.1; RFC 6066, section 3) that comes
//! in pieces of any size, cut into TLS records anywhere.
//!
//! Nothing but the name is kept. The message is a sequence of fields, each some bytes long; a field is a number,
//! the name, or of no interest, and says what the next one is.

use iu::prelude::*;

/// Longest name of a host (RFC 1035).
pub const NAME: usize = 255;

/// What is known of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// More bytes are needed.
    Nothing,
    /// A ClientHello asks for this name: see [`Hello::name`].
    Name,
    /// A ClientHello asks for none.
    Unnamed,
    /// No ClientHello, or a malformed one.
    Other,
}

/// Fields, in their order.
mod field {
    pub const TYPE: u8 = 0;
    pub const LENGTH: u8 = 1;
    /// Version and random.
    pub const FIXED: u8 = 2;
    pub const SESSION_LENGTH: u8 = 3;
    pub const SESSION: u8 = 4;
    pub const SUITES_LENGTH: u8 = 5;
    pub const SUITES: u8 = 6;
    pub const METHODS_LENGTH: u8 = 7;
    pub const METHODS: u8 = 8;
    pub const EXTENSIONS_LENGTH: u8 = 9;
    /// Type and length.
    pub const EXTENSION_HEAD: u8 = 10;
    pub const EXTENSION: u8 = 11;
    /// Length of the list, type and length of its first entry.
    pub const NAME_HEAD: u8 = 12;
    pub const NAME: u8 = 13;
}

/// Content type of a TLS record with a handshake.
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u64 = 1;
const RECORD_HEAD: u8 = 5;
/// Longest record (RFC 8446, section 5.1).
const RECORD: u16 = 1 << 14;
/// Longest ClientHello that is followed.
const MESSAGE: u32 = 1 << 16;

/// Where in a ClientHello one is.
#[plain]
pub struct Hello {
    /// Of the field: bytes that are still to come, and the number so far.
    left: u32,
    /// Of the message.
    message: u32,
    value: u64,
    /// Of the record's content.
    record: u16,
    /// Bytes of the record's head so far.
    head: u8,
    field: u8,
    name_len: u16,
    unused: [u8; 10],
    name: [u8; NAME + 1],
}

impl Hello {
    /// The start of a stream.
    pub const fn new() -> Hello {
        Hello {
            left: 1,
            message: 4,
            value: 0,
            record: 0,
            head: 0,
            field: field::TYPE,
            name_len: 0,
            unused: [0; 10],
            name: [0; NAME + 1],
        }
    }

    /// The name, in lower case, without a dot at the end.
    pub fn name(&self) -> &[u8] {
        let name = self.name.get(..self.name_len.into()).unwrap_or(&[]);
        name.strip_suffix(b".").unwrap_or(name)
    }

    /// Takes the next bytes of the stream. Not to be called after it has found something.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Found {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.record == 0 {
                bytes = rest;
                if !self.record_head(first) {
                    return Found::Other;
                }
                continue;
            }
            let n = bytes.len().min(self.record.into()).min(self.left as usize);
            let (piece, rest) = bytes.split_at(n);
            bytes = rest;
            self.record -= n as u16;
            self.left -= n as u32;
            self.message -= n as u32;
            self.take(piece);
            while self.left == 0 {
                match self.next() {
                    Found::Nothing => {}
                    found => return found,
                }
            }
        }
        Found::Nothing
    }

    /// Type, version, length; false: no record of a handshake.
    fn record_head(&mut self, byte: u8) -> bool {
        let at = self.head;
        self.head += 1;
        match at {
            0 => byte == HANDSHAKE,
            1 => byte == 3,
            2 => true,
            3 => {
                // Nothing is read from `value` between two fields' bytes but by `take`, so the
                // first byte of the length waits in the name's last place, which no name reaches.
                self.name[NAME] = byte;
                true
            }
            _ => {
                self.record = u16::from_be_bytes([self.name[NAME], byte]);
                self.head = 0;
                debug_assert_eq!(at + 1, RECORD_HEAD);
                (1..=RECORD).contains(&self.record)
            }
        }
    }

    fn take(&mut self, piece: &[u8]) {
        if self.field == field::NAME {
            for b in piece {
                if let Some(to) = self.name.get_mut(usize::from(self.name_len)) {
                    *to = b.to_ascii_lowercase();
                    self.name_len += 1;
                }
            }
        } else if self.left + piece.len() as u32 <= 8 {
            for b in piece {
                self.value = self.value << 8 | u64::from(*b);
            }
        }
    }

    /// A field has ended: what its number says is the next one.
    fn next(&mut self) -> Found {
        let value = core::mem::take(&mut self.value);
        let low = value as u32 & 0xffff;
        let (next, len) = match self.field {
            field::TYPE if value == CLIENT_HELLO => (field::LENGTH, 3),
            field::LENGTH if value <= MESSAGE.into() => {
                self.message = value as u32;
                (field::FIXED, 34)
            }
            field::FIXED => (field::SESSION_LENGTH, 1),
            field::SESSION_LENGTH if value <= 32 => (field::SESSION, value as u32),
            field::SESSION => (field::SUITES_LENGTH, 2),
            field::SUITES_LENGTH => (field::SUITES, low),
            field::SUITES => (field::METHODS_LENGTH, 1),
            field::METHODS_LENGTH => (field::METHODS, low),
            // Before TLS 1.3 there may be no extensions.
            field::METHODS | field::EXTENSION if self.message == 0 => return Found::Unnamed,
            field::METHODS => (field::EXTENSIONS_LENGTH, 2),
            // The rest of the message.
            field::EXTENSIONS_LENGTH if low != self.message => return Found::Other,
            field::EXTENSIONS_LENGTH if low == 0 => return Found::Unnamed,
            field::EXTENSIONS_LENGTH | field::EXTENSION => (field::EXTENSION_HEAD, 4),
            field::EXTENSION_HEAD if value >> 16 == 0 && low >= 5 => (field::NAME_HEAD, 5),
            field::EXTENSION_HEAD => (field::EXTENSION, low),
            // A host name (type 0) of a length that can be.
            field::NAME_HEAD if value >> 16 & 0xff == 0 && (1..=NAME as u32).contains(&low) => {
                (field::NAME, low)
            }
            field::NAME => return Found::Name,
            _ => return Found::Other,
        };
        if len > self.message {
            return Found::Other;
        }
        (self.field, self.left) = (next, len);
        Found::Nothing
    }
}
