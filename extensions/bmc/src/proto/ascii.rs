// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! Lines of the ASCII protocol, meta commands among them, both ways.

use super::words::Words;
use super::{Change, Expiry, MAX_KEY, Replies, parse_i64, parse_time, parse_u32};

/// A request line that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Bytes of data that follow the line, the line end behind them included.
    pub data: u32,
    /// How many replies come.
    pub replies: Replies,
    /// The client asks the server to close the connection.
    pub quits: bool,
}

const PLAIN: Request = Request { data: 0, replies: Replies::One, quits: false };

impl<'a> Words<'a> {
    fn key(&mut self) -> Option<&'a [u8]> {
        self.next().filter(|k| k.len() <= MAX_KEY)
    }

    /// The end of a line that may end in `noreply`.
    fn noreply(mut self) -> Option<Replies> {
        match (self.next(), self.next()) {
            (None, _) => Some(Replies::One),
            (Some(b"noreply"), None) => Some(Replies::None),
            _ => None,
        }
    }
}

/// Reads a request line without its line end, and reports what it changes.
///
/// `None` if it is not understood or malformed: then it cannot be told what
/// follows it, nor what was reported in vain.
pub fn request(line: &[u8], report: &mut impl FnMut(Change<'_>)) -> Option<Request> {
    let mut words = Words { rest: line };
    let command = words.next()?;
    match command {
        b"get" | b"gets" => words.next().map(|_| PLAIN),
        b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas" => {
            store(command, words, report)
        }
        b"gat" | b"gats" => {
            let expiry = Expiry::Becomes(parse_time(words.next()?)?);
            let mut count = 0;
            for key in words {
                report(Change::Key(key, expiry));
                count += 1;
            }
            (count > 0).then_some(PLAIN)
        }
        b"touch" => {
            let key = words.key()?;
            let expiry = parse_time(words.next()?)?;
            report(Change::Key(key, Expiry::Becomes(expiry)));
            Some(Request { replies: words.noreply()?, ..PLAIN })
        }
        b"incr" | b"decr" => {
            report(Change::Key(words.key()?, Expiry::Keep));
            words.next()?;
            Some(Request { replies: words.noreply()?, ..PLAIN })
        }
        b"delete" => {
            report(Change::Key(words.key()?, Expiry::Keep));
            let after = words.clone();
            // A time of 0 is still taken.
            if words.next() == Some(b"0") {
                return Some(Request { replies: words.noreply()?, ..PLAIN });
            }
            Some(Request { replies: after.noreply()?, ..PLAIN })
        }
        b"flush_all" => {
            let after = words.clone();
            let (delay, words) = match words.next() {
                None | Some(b"noreply") => (0, after),
                Some(n) => (parse_time(n)?, words),
            };
            report(Change::Flush(delay));
            Some(Request { replies: words.noreply()?, ..PLAIN })
        }
        b"quit" => Some(Request { replies: Replies::None, quits: true, ..PLAIN }),
        b"version" => Some(PLAIN),
        b"verbosity" => {
            words.next()?;
            Some(Request { replies: words.noreply()?, ..PLAIN })
        }
        // With arguments, replies are of many kinds.
        b"stats" => {
            let replies = if words.next().is_none() { Replies::One } else { Replies::Unknown };
            Some(Request { replies, ..PLAIN })
        }
        b"mn" => Some(PLAIN),
        b"me" => words.next().map(|_| PLAIN),
        b"mg" | b"ms" | b"md" | b"ma" => meta(command, words, report),
        _ => None,
    }
}

fn store(
    command: &[u8],
    mut words: Words<'_>,
    report: &mut impl FnMut(Change<'_>),
) -> Option<Request> {
    let key = words.key()?;
    parse_u32(words.next()?)?;
    let time = parse_time(words.next()?)?;
    let bytes = parse_u32(words.next()?)?;
    if command == b"cas" {
        parse_i64(words.next()?)?;
    }
    let expiry = match command {
        b"set" | b"replace" => Expiry::Becomes(time),
        b"add" | b"cas" => Expiry::Maybe(time),
        _ => Expiry::Keep,
    };
    report(Change::Key(key, expiry));
    Some(Request { data: data(bytes)?, replies: words.noreply()?, quits: false })
}

/// Data with its line end; memcached takes less than 2 GiB.
fn data(bytes: u32) -> Option<u32> {
    (bytes < i32::MAX as u32 - 2).then_some(bytes + 2)
}

/// `mg`, `ms`, `md`, `ma`: a key, for `ms` the length of data, and flags of one letter, some with a value.
fn meta(
    command: &[u8],
    mut words: Words<'_>,
    report: &mut impl FnMut(Change<'_>),
) -> Option<Request> {
    let key = words.key()?;
    let data = if command == b"ms" { data(parse_u32(words.next()?)?)? } else { 0 };
    let (mut quiet, mut creates, mut encoded, mut conditional, mut append) =
        (false, false, false, false, false);
    let mut time = None;
    for flag in words {
        match flag {
            [b'q', ..] => quiet = true,
            [b'b', ..] => encoded = true,
            [b'T', value @ ..] => time = Some(parse_time(value)?),
            [b'N', ..] => creates = true,
            [b'C' | b'I', ..] => conditional = true,
            [b'M', mode, ..] if command == b"ms" => match mode {
                b'S' | b's' | b'R' | b'r' => {}
                b'A' | b'a' | b'P' | b'p' => append = true,
                _ => conditional = true,
            },
            _ => {}
        }
    }
    let expiry = match (command, time) {
        _ if creates => Expiry::Unknown,
        (b"ms", _) if append => Expiry::Keep,
        (b"ms", _) if conditional => Expiry::Maybe(time.unwrap_or(0)),
        (b"ms", _) => Expiry::Becomes(time.unwrap_or(0)),
        (_, Some(time)) => Expiry::Maybe(time),
        (_, None) => Expiry::Keep,
    };
    if command != b"mg" || time.is_some() || creates {
        // What an encoded key is, its bytes on the wire do not tell.
        report(if encoded { Change::Anything } else { Change::Key(key, expiry) });
    }
    Some(Request {
        data,
        replies: if quiet { Replies::Unknown } else { Replies::One },
        quits: false,
    })
}

/// Commands that may change an item.
const CHANGING: [&[u8]; 17] = [
    b"set ",
    b"add ",
    b"replace ",
    b"append ",
    b"prepend ",
    b"cas ",
    b"incr ",
    b"decr ",
    b"delete ",
    b"touch ",
    b"gat ",
    b"gats ",
    b"ms ",
    b"md ",
    b"ma ",
    b"mg ",
    b"flush_all",
];

/// Reports every change that a stretch of a stream may ask for, wherever in the
/// stream it stands.
///
/// A command is looked for at every start of a line and at the start of the
/// stretch; data that looks like one is reported too. A command that does not
/// end in this stretch is reported as [`Change::Anything`].
pub fn scan(stretch: &[u8], report: &mut impl FnMut(Change<'_>)) {
    let mut rest = stretch;
    while !rest.is_empty() {
        let (line, after) = match rest.iter().position(|&b| b == b'\n') {
            Some(end) => (rest.get(..end).unwrap_or(&[]), rest.get(end + 1..)),
            None => (rest, None),
        };
        if may_change(line, after.is_some()) {
            // A line that is not understood may still be one to memcached.
            let known = after.is_some() && request(strip_cr(line), report).is_some();
            if !known {
                report(Change::Anything);
            }
        }
        rest = after.unwrap_or(&[]);
    }
}

fn may_change(line: &[u8], whole: bool) -> bool {
    let mut word = line;
    while let [b' ', rest @ ..] = word {
        word = rest;
    }
    for command in CHANGING {
        if word.starts_with(command) || (!whole && command.starts_with(word)) {
            return true;
        }
    }
    false
}

/// A line without the carriage return before its end.
pub fn strip_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// What a line of the server's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The end of a reply, or all of it; so many bytes of data follow.
    Last(u32),
    /// A part that has more behind it; so many bytes of data follow.
    Part(u32),
    /// The request failed. It may have been one without a reply.
    Error,
}

/// Reads a line of the server's, without its line end.
pub fn reply(line: &[u8]) -> Option<Reply> {
    let mut words = Words { rest: line };
    Some(match words.next()? {
        b"VALUE" => Reply::Part(data(parse_u32(words.nth(2)?)?)?),
        b"VA" => Reply::Last(data(parse_u32(words.next()?)?)?),
        b"STAT" => Reply::Part(0),
        b"ERROR" | b"CLIENT_ERROR" | b"SERVER_ERROR" => Reply::Error,
        _ => Reply::Last(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[u8]) -> (Option<Request>, Vec<String>) {
        let mut out = Vec::new();
        let request = request(line, &mut |c| out.push(show(c)));
        (request, out)
    }

    fn show(c: Change<'_>) -> String {
        match c {
            Change::Key(k, e) => format!("{} {e:?}", String::from_utf8_lossy(k)),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn requests_are_read() {
        let one = Some(PLAIN);
        let none = Some(Request { replies: Replies::None, ..PLAIN });
        let vague = Some(Request { replies: Replies::Unknown, ..PLAIN });
        let with = |data, replies| Some(Request { data, replies, quits: false });
        for (line, request, changes) in [
            (&b"get a b"[..], one, &[][..]),
            (b"set a 0 0 3", with(5, Replies::One), &["a Becomes(0)"]),
            (b"  set   a 0 60 3 noreply", with(5, Replies::None), &["a Becomes(60)"]),
            (b"replace a 0 -1 0", with(2, Replies::One), &["a Becomes(-1)"]),
            (b"add a 0 60 3", with(5, Replies::One), &["a Maybe(60)"]),
            (b"cas a 0 60 3 99", with(5, Replies::One), &["a Maybe(60)"]),
            (b"append a 0 60 3", with(5, Replies::One), &["a Keep"]),
            (b"incr a 1", one, &["a Keep"]),
            (b"decr a 1 noreply", none, &["a Keep"]),
            (b"delete a", one, &["a Keep"]),
            (b"delete a 0", one, &["a Keep"]),
            (b"delete a 0 noreply", none, &["a Keep"]),
            (b"touch a 10", one, &["a Becomes(10)"]),
            (b"gat 10 a b", one, &["a Becomes(10)", "b Becomes(10)"]),
            (b"flush_all", one, &["Flush(0)"]),
            (b"flush_all noreply", none, &["Flush(0)"]),
            (b"flush_all 30 noreply", none, &["Flush(30)"]),
            (b"version", one, &[]),
            (b"stats", one, &[]),
            (b"stats items", vague, &[]),
            (b"mg a v t", one, &[]),
            (b"mg a v T30", one, &["a Maybe(30)"]),
            (b"mg a v N30", one, &["a Unknown"]),
            (b"mg a v q", vague, &[]),
            (b"ms a 3", with(5, Replies::One), &["a Becomes(0)"]),
            (b"ms a 3 T60 F1", with(5, Replies::One), &["a Becomes(60)"]),
            (b"ms a 3 C9", with(5, Replies::One), &["a Maybe(0)"]),
            (b"ms a 3 ME", with(5, Replies::One), &["a Maybe(0)"]),
            (b"ms a 3 MA", with(5, Replies::One), &["a Keep"]),
            (b"ms YQ== 3 b", with(5, Replies::One), &["Anything"]),
            (b"md a", one, &["a Keep"]),
            (b"md a q", vague, &["a Keep"]),
            (b"ma a N60", one, &["a Unknown"]),
            (b"mn", one, &[]),
        ] {
            let (got, reported) = read(line);
            assert_eq!(got, request, "{}", String::from_utf8_lossy(line));
            assert_eq!(reported, changes, "{}", String::from_utf8_lossy(line));
        }
        assert!(read(b"quit").0.unwrap().quits);
        let long = [b"delete ".to_vec(), vec![b'k'; MAX_KEY + 1]].concat();
        for line in [
            &b""[..],
            b"get",
            b"GET a",
            b"set a 0 0",
            b"set a 0 0 x",
            b"set a 0 0 -1",
            b"set a 0 0 3 99",
            b"set a 0 0 2147483646",
            b"set a 0 2147483648 3",
            b"cas a 0 0 3 x",
            b"set a -1 0 3",
            b"cas a 0 0 3",
            b"touch a",
            b"flush_all soon",
            b"shutdown",
            b"\x16\x03\x01",
            &long,
        ] {
            assert_eq!(read(line).0, None, "{}", String::from_utf8_lossy(line));
        }
    }

    fn scanned(stretch: &[u8]) -> Vec<String> {
        let mut out = Vec::new();
        scan(stretch, &mut |c| out.push(show(c)));
        out
    }

    #[test]
    fn changes_are_found_anywhere() {
        assert_eq!(
            scanned(b"get a\r\n set b 0 0 1\r\nx\r\ndelete c\r\n"),
            ["b Becomes(0)", "c Keep"]
        );
        assert_eq!(scanned(b"delete c\nincr d 1\n"), ["c Keep", "d Keep"]);
        assert_eq!(scanned(b"set\r\nsetting\r\nget a\r\nmn\r\n"), [] as [&str; 0]);
        assert_eq!(scanned(b"set a odd\r\n"), ["Anything"]);
        assert_eq!(scanned(b"x\r\n "), ["Anything"]);
        assert_eq!(scanned(b""), [] as [&str; 0]);
    }

    #[test]
    fn a_request_cut_anywhere_is_never_missed() {
        for stream in
            [&b"set key 0 0 1\r\n"[..], b"  flush_all\r\n", b"gat 1 key\r\n", b"mg key T1\r\n"]
        {
            for cut in 1..stream.len() {
                let (first, second) = stream.split_at(cut);
                let all = [scanned(first), scanned(second)].concat();
                assert!(!all.is_empty(), "cut at {cut}: {all:?}");
            }
        }
    }

    #[test]
    fn replies_are_read() {
        for (line, want) in [
            (&b"STORED"[..], Some(Reply::Last(0))),
            (b"VALUE a 0 5", Some(Reply::Part(7))),
            (b"VALUE a 0 5 99", Some(Reply::Part(7))),
            (b"VALUE a 0", None),
            (b"END", Some(Reply::Last(0))),
            (b"VA 5 t-1", Some(Reply::Last(7))),
            (b"STAT pid 1", Some(Reply::Part(0))),
            (b"SERVER_ERROR out of memory", Some(Reply::Error)),
            (b"17", Some(Reply::Last(0))),
            (b"", None),
        ] {
            assert_eq!(reply(line), want, "{}", String::from_utf8_lossy(line));
        }
    }
}
