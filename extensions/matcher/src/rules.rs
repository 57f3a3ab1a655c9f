// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! `rules.txt`, read by the compiler.

/// What a match does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Counts.
    Count,
    /// Counts and logs.
    Log,
    /// Counts and drops.
    Drop,
}

/// Most rules: a set of them is 64 bits.
pub const RULES: usize = 64;

/// A line of the file, as where its parts are.
#[derive(Clone, Copy)]
pub struct Rule {
    /// What a match does.
    pub action: Action,
    name: (usize, usize),
    pattern: (usize, usize),
}

/// The rules of a file.
pub struct Rules {
    text: &'static [u8],
    rules: [Rule; RULES],
    len: usize,
}

const fn hex(b: u8) -> u8 {
    match b {
        b'0'..=b'9' => b - b'0',
        b'a'..=b'f' => b - b'a' + 10,
        b'A'..=b'F' => b - b'A' + 10,
        _ => panic!("rules: \\x wants two hexadecimal digits"),
    }
}

/// Whether `text` has `word` at `at`.
const fn has(text: &[u8], at: usize, word: &[u8]) -> bool {
    let mut i = 0;
    while i < word.len() {
        if at + i >= text.len() || text[at + i] != word[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Where the blanks from `at` on end.
const fn blanks(text: &[u8], mut at: usize, end: usize) -> usize {
    while at < end && (text[at] == b' ' || text[at] == b'\t') {
        at += 1;
    }
    at
}

/// Where the word from `at` on ends.
const fn word(text: &[u8], mut at: usize, end: usize) -> usize {
    while at < end && text[at] != b' ' && text[at] != b'\t' {
        at += 1;
    }
    at
}

impl Rules {
    /// Reads a file.
    ///
    /// # Panics
    /// If a line is no rule, or there are too many: as a constant, it does not build.
    pub const fn parse(text: &'static [u8]) -> Rules {
        let none = Rule { action: Action::Count, name: (0, 0), pattern: (0, 0) };
        let mut all = Rules { text, rules: [none; RULES], len: 0 };
        let mut at = 0;
        while at < text.len() {
            let mut end = at;
            while end < text.len() && text[end] != b'\n' {
                end += 1;
            }
            let start = blanks(text, at, end);
            if start < end && text[start] != b'#' {
                all.line(start, end);
            }
            at = end + 1;
        }
        all
    }

    const fn line(&mut self, start: usize, end: usize) {
        let text = self.text;
        assert!(self.len < RULES, "rules: more than 64");
        let action = if has(text, start, b"count ") {
            Action::Count
        } else if has(text, start, b"log ") {
            Action::Log
        } else if has(text, start, b"drop ") {
            Action::Drop
        } else {
            panic!("rules: an action is count, log or drop")
        };
        let name = blanks(text, word(text, start, end), end);
        let name_end = word(text, name, end);
        let pattern = blanks(text, name_end, end);
        assert!(name < name_end, "rules: a rule has a name");
        assert!(pattern < end, "rules: a rule has a pattern");
        self.rules[self.len] = Rule { action, name: (name, name_end), pattern: (pattern, end) };
        self.len += 1;
    }

    /// Number of rules.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Rule number `i`.
    pub const fn action(&self, i: usize) -> Action {
        self.rules[i].action
    }

    /// Its name.
    pub fn name(&self, i: usize) -> &'static [u8] {
        self.rules.get(i).and_then(|r| self.text.get(r.name.0..r.name.1)).unwrap_or(b"?")
    }

    /// Where its pattern begins.
    pub const fn begin(&self, i: usize) -> usize {
        self.rules[i].pattern.0
    }

    /// The byte of pattern `i` that stands at `at` in the file, and where the next one stands; `None`
    /// behind the last.
    pub const fn byte(&self, i: usize, at: usize) -> Option<(u8, usize)> {
        let end = self.rules[i].pattern.1;
        if at >= end {
            return None;
        }
        if self.text[at] != b'\\' {
            return Some((self.text[at], at + 1));
        }
        if at + 1 < end && self.text[at + 1] == b'\\' {
            return Some((b'\\', at + 2));
        }
        assert!(at + 3 < end && self.text[at + 1] == b'x', "rules: after \\ stands \\ or xHH");
        Some((hex(self.text[at + 2]) << 4 | hex(self.text[at + 3]), at + 4))
    }
}
