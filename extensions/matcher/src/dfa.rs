// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! The automaton of Aho and Corasick ("Efficient string matching", CACM 18(6), 1975), with all failures resolved: one
//! step per byte, whatever the rules. The compiler makes it; bytes that no pattern has share a column.

use crate::rules::Rules;

/// How large the automaton of some rules is.
#[derive(Clone, Copy)]
pub struct Size {
    /// Bytes of all patterns, and the start: states at most.
    pub states: usize,
    /// Different bytes in patterns, and one for the others.
    pub classes: usize,
}

const fn classes(rules: &Rules) -> ([u8; 256], Size) {
    let mut class = [0u8; 256];
    let mut size = Size { states: 1, classes: 1 };
    let mut i = 0;
    while i < rules.len() {
        let mut at = rules.begin(i);
        while let Some((byte, next)) = rules.byte(i, at) {
            if class[byte as usize] == 0 {
                class[byte as usize] = size.classes as u8;
                size.classes += 1;
            }
            size.states += 1;
            at = next;
        }
        i += 1;
    }
    assert!(size.classes < 256, "rules: patterns have all 256 bytes");
    assert!(size.states < 1 << 16, "rules: patterns have more than 65535 bytes");
    (class, size)
}

/// What room the automaton needs.
pub const fn size(rules: &Rules) -> Size {
    classes(rules).1
}

/// The automaton; `CELLS` is states times classes.
pub struct Dfa<const STATES: usize, const CELLS: usize> {
    class: [u8; 256],
    next: [u16; CELLS],
    /// The rules that match when a state is reached.
    found: [u64; STATES],
}

impl<const STATES: usize, const CELLS: usize> Dfa<STATES, CELLS> {
    /// Makes it. Also the pass that makes a trie of the patterns, from which failures are resolved
    /// in the order of depth.
    pub const fn new(rules: &Rules) -> Self {
        let (class, size) = classes(rules);
        assert!(size.states == STATES && size.states * size.classes == CELLS);
        let classes = size.classes;
        let mut dfa = Dfa { class, next: [0; CELLS], found: [0; STATES] };
        let mut states = 1;
        let mut i = 0;
        while i < rules.len() {
            let (mut state, mut at) = (0, rules.begin(i));
            while let Some((byte, after)) = rules.byte(i, at) {
                let cell = state * classes + class[byte as usize] as usize;
                if dfa.next[cell] == 0 {
                    dfa.next[cell] = states as u16;
                    states += 1;
                }
                state = dfa.next[cell] as usize;
                at = after;
            }
            dfa.found[state] |= 1 << i;
            i += 1;
        }
        // 0 in a cell is no edge yet; the start is nobody's child.
        let (mut fail, mut queue) = ([0u16; STATES], [0u16; STATES]);
        let (mut head, mut tail) = (0, 1);
        while head < tail {
            let state = queue[head] as usize;
            head += 1;
            let other = fail[state] as usize;
            dfa.found[state] |= dfa.found[other];
            let mut c = 0;
            while c < classes {
                let child = dfa.next[state * classes + c] as usize;
                let instead = if state == 0 { 0 } else { dfa.next[other * classes + c] };
                if child == 0 {
                    dfa.next[state * classes + c] = instead;
                } else {
                    fail[child] = instead;
                    queue[tail] = child as u16;
                    tail += 1;
                }
                c += 1;
            }
        }
        dfa
    }

    /// The state after a byte, and the rules that match there.
    #[inline(always)]
    pub fn step(&self, state: u32, byte: u8) -> (u32, u64) {
        let classes = CELLS / STATES;
        let class = self.class.get(usize::from(byte)).copied().unwrap_or(0);
        let cell = state as usize * classes + usize::from(class);
        let next = self.next.get(cell).copied().unwrap_or(0);
        (next.into(), self.found.get(usize::from(next)).copied().unwrap_or(0))
    }
}
