// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! Which names are blocked: those of `blocklist.txt`, and those that user space has put into a map.

use iu::prelude::*;

/// Longest name of the map, in bytes.
pub const KEY: usize = 64;

/// A name in lower case, and zeros. The value counts what it has blocked.
#[map]
pub static BLOCKED: HashMap<[u8; KEY], u64, 8192> = HashMap::new();

const LIST: &str = include_str!("../blocklist.txt");

/// The name and what it is below: `a.b.c`, `b.c`, `c`.
fn parents(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(name);
    core::iter::from_fn(move || {
        let this = rest?;
        rest = this.iter().position(|b| *b == b'.').and_then(|at| this.get(at + 1..));
        Some(this)
    })
}

/// Whether it, or a name it is below, is blocked.
pub fn blocked(name: &[u8]) -> bool {
    parents(name).any(|n| in_map(n) || in_list(n))
}

fn in_map(name: &[u8]) -> bool {
    let mut key = [0; KEY];
    match key.get_mut(..name.len()) {
        Some(to) if !name.is_empty() => to.copy_from_slice(name),
        _ => return false,
    }
    BLOCKED.fetch_add(&key, 1).is_some()
}

fn in_list(name: &[u8]) -> bool {
    let lines = LIST.as_bytes().split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    !name.is_empty() && lines.filter(|l| !l.starts_with(b"#")).any(|l| l == name)
}
