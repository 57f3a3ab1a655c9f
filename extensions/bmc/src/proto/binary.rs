// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! Headers of the binary protocol, both ways.

use super::{Change, Expiry, MAX_KEY, Replies};

/// First byte of every request.
pub const REQUEST: u8 = 0x80;
/// First byte of every reply.
const REPLY: u8 = 0x81;

/// Bytes of a header.
pub const HEADER: usize = 24;

/// Most bytes that [`request`] needs: the header, extras and a key.
pub const MAX_HEAD: usize = HEADER + MAX_EXTRAS + MAX_KEY;

/// Extras of `incr`, the most of any command.
const MAX_EXTRAS: usize = 20;

/// A header of either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    opcode: u8,
    key: usize,
    extras: usize,
    body: u32,
    cas: bool,
}

impl Header {
    fn read(bytes: &[u8], magic: u8) -> Option<Header> {
        let h: &[u8; HEADER] = bytes.first_chunk()?;
        if *h.first()? != magic {
            return None;
        }
        let header = Header {
            opcode: h[1],
            key: usize::from(u16::from_be_bytes([h[2], h[3]])),
            extras: usize::from(h[4]),
            body: u32::from_be_bytes([h[8], h[9], h[10], h[11]]),
            cas: h.last_chunk::<8>() != Some(&[0; 8]),
        };
        (header.key + header.extras <= header.body as usize).then_some(header)
    }

    /// The header of a request; `None` if these bytes are none.
    pub fn request(bytes: &[u8]) -> Option<Header> {
        Header::read(bytes, REQUEST)
            .filter(|h| h.key <= MAX_KEY && h.extras <= MAX_EXTRAS && h.body < 1 << 31)
    }

    /// The header of a reply; `None` if these bytes are none.
    pub fn reply(bytes: &[u8]) -> Option<Header> {
        Header::read(bytes, REPLY)
    }

    /// Bytes of header, extras and key.
    pub fn head(&self) -> usize {
        HEADER + self.extras + self.key
    }

    /// Bytes of the value, behind the key.
    pub fn value(&self) -> u32 {
        self.body - (self.extras + self.key) as u32
    }

    /// Whether a reply with this header answers a request that counts.
    pub fn is_reply_counted(&self) -> bool {
        replies(self.opcode) == Replies::One
    }
}

fn replies(opcode: u8) -> Replies {
    match opcode {
        // Quiet ones, those that speak up only to fail or to hit, and `quit`.
        0x09 | 0x0d | 0x11..=0x1a | 0x1e | 0x24 => Replies::None,
        0x00..=0x0c | 0x0e | 0x0f | 0x1b | 0x1c | 0x1d | 0x20..=0x23 => match opcode {
            // `stat`: several; none of them counts.
            0x10 => Replies::None,
            _ => Replies::One,
        },
        0x10 => Replies::None,
        _ => Replies::Unknown,
    }
}

/// What a request is beside its change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// How many replies come.
    pub replies: Replies,
    /// The client asks the server to close the connection.
    pub quits: bool,
}

/// Reads a request of which `head` holds header, extras and key.
pub fn request(
    header: &Header,
    head: &[u8],
    report: &mut impl FnMut(Change<'_>),
) -> Option<Request> {
    let extras = head.get(HEADER..HEADER + header.extras)?;
    let key = head.get(HEADER + header.extras..header.head())?;
    let time = |at: usize| -> Option<i32> {
        let bytes: &[u8; 4] = extras.get(at..)?.first_chunk()?;
        Some(i32::from_be_bytes(*bytes))
    };
    let change = match header.opcode {
        // set, replace and their quiet forms
        0x01 | 0x03 | 0x11 | 0x13 if header.cas => Some(Expiry::Maybe(time(4)?)),
        0x01 | 0x03 | 0x11 | 0x13 => Some(Expiry::Becomes(time(4)?)),
        // add
        0x02 | 0x12 => Some(Expiry::Maybe(time(4)?)),
        // delete, append, prepend
        0x04 | 0x14 | 0x0e | 0x0f | 0x19 | 0x1a => Some(Expiry::Keep),
        // incr, decr: make the item if it is not there
        0x05 | 0x06 | 0x15 | 0x16 => Some(Expiry::Maybe(time(16)?)),
        // touch, get and touch
        0x1c | 0x1d | 0x1e | 0x23 | 0x24 => Some(Expiry::Becomes(time(0)?)),
        0x08 | 0x18 => {
            report(Change::Flush(if extras.is_empty() { 0 } else { time(0)? }));
            None
        }
        // get, quit, noop, version, getk, stat, verbosity, SASL
        0x00 | 0x07 | 0x09..=0x0d | 0x10 | 0x17 | 0x1b | 0x20..=0x22 => None,
        _ => {
            report(Change::Anything);
            None
        }
    };
    if let Some(expiry) = change {
        if key.is_empty() {
            return None;
        }
        report(Change::Key(key, expiry));
    }
    Some(Request { replies: replies(header.opcode), quits: matches!(header.opcode, 0x07 | 0x17) })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A request.
    pub fn make(opcode: u8, cas: u8, extras: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut h = vec![0; HEADER];
        h[0] = REQUEST;
        h[1] = opcode;
        h[2..4].copy_from_slice(&(key.len() as u16).to_be_bytes());
        h[4] = extras.len() as u8;
        h[8..12].copy_from_slice(&((extras.len() + key.len() + value.len()) as u32).to_be_bytes());
        h[23] = cas;
        [&h[..], extras, key, value].concat()
    }

    fn read(bytes: &[u8]) -> Option<(Request, Vec<String>)> {
        let header = Header::request(bytes)?;
        let mut out = Vec::new();
        let r = request(&header, &bytes[..header.head()], &mut |c| out.push(format!("{c:?}")))?;
        Some((r, out))
    }

    #[test]
    fn requests_are_read() {
        let key = |e| format!("{:?}", Change::Key(b"key", e));
        let sixty = [0, 0, 0, 0, 0, 0, 0, 60];
        for (opcode, cas, extras, replies, want) in [
            (0x00, 0, &[][..], Replies::One, None),
            (0x01, 0, &sixty, Replies::One, Some(key(Expiry::Becomes(60)))),
            (0x01, 1, &sixty, Replies::One, Some(key(Expiry::Maybe(60)))),
            (0x11, 0, &sixty, Replies::None, Some(key(Expiry::Becomes(60)))),
            (0x02, 0, &sixty, Replies::One, Some(key(Expiry::Maybe(60)))),
            (0x04, 0, &[], Replies::One, Some(key(Expiry::Keep))),
            (0x14, 0, &[], Replies::None, Some(key(Expiry::Keep))),
            (0x05, 0, &[0; 20], Replies::One, Some(key(Expiry::Maybe(0)))),
            (0x1c, 0, &[0, 0, 0, 9], Replies::One, Some(key(Expiry::Becomes(9)))),
            (0x08, 0, &[0, 0, 0, 9], Replies::One, Some("Flush(9)".to_string())),
            (0x10, 0, &[], Replies::None, None),
            (0x30, 0, &[], Replies::Unknown, Some("Anything".to_string())),
        ] {
            let (request, changes) = read(&make(opcode, cas, extras, b"key", b"")).unwrap();
            assert_eq!(request.replies, replies, "opcode {opcode:#x}");
            assert_eq!(changes, want.into_iter().collect::<Vec<_>>(), "opcode {opcode:#x}");
        }
        assert!(read(&make(0x07, 0, &[], b"", b"")).unwrap().0.quits);
        assert!(read(&make(0x01, 0, &[0; 4], b"key", b"")).is_none());
        assert!(read(&make(0x01, 0, &sixty, b"", b"")).is_none());
        assert!(read(&make(0x01, 0, &sixty, &[b'k'; 251], b"")).is_none());
        assert!(Header::request(b"\x80").is_none());
    }
}
