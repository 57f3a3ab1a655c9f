// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! What a stretch of requests changes: noted while its connection is locked,
//! carried out on the cache afterwards, as a program holds one lock at a time.

use crate::cache::{self, Pending, Until};
use crate::clock;
use crate::proto::get::key_hash;
use crate::proto::{Change, Expiry};
use crate::ttl;

/// Most changes to keys that are noted one by one.
const MAX: usize = 40;

/// A change to a key.
#[derive(Clone, Copy)]
pub struct Item {
    /// Hash of the key.
    pub hash: u64,
    /// What it does to the item's expiry.
    pub expiry: Expiry,
    /// The connection's reply that shows that it was carried out; 0: none does.
    pub reply: u32,
    /// That reply is another request's, and may never come.
    pub quiet: bool,
    /// What the reply ends; good after [`Report::apply`].
    pub pending: Pending,
}

/// Changes that may be under way on a connection at once.
pub const FLIGHTS: usize = 32;

/// See the module.
pub struct Report {
    items: [Item; MAX],
    len: usize,
    /// Earlier changes whose replies will not be known for what they are.
    given_up: [Pending; FLIGHTS],
    given_up_len: usize,
    /// Not all changes were seen for what they are.
    all: bool,
    /// Nor was what they do to expiry.
    unlearn: bool,
    flush: Option<i32>,
    /// It is known where in the stream the stretch lies: what looks like a request is one.
    pub sure: bool,
}

impl Report {
    /// Nothing.
    // Inlined, as it is too large to be copied on a stack of this size.
    #[inline(always)]
    pub fn new(sure: bool) -> Report {
        let none =
            Item { hash: 0, expiry: Expiry::Keep, reply: 0, quiet: false, pending: Pending::NONE };
        let given_up = [Pending::NONE; FLIGHTS];
        Report {
            items: [none; MAX],
            len: 0,
            given_up,
            given_up_len: 0,
            all: false,
            unlearn: false,
            flush: None,
            sure,
        }
    }

    /// Notes a change.
    pub fn add(&mut self, change: Change<'_>) {
        match change {
            Change::Key(key, expiry) => self.key(key, expiry),
            Change::Anything => self.all(true),
            Change::Flush(delay) => match self.flush {
                None => self.flush = Some(delay),
                Some(other) if other == delay => {}
                // Of several, the one that is never over stands for all.
                Some(_) => self.flush = Some(i32::MAX),
            },
        }
    }

    fn key(&mut self, key: &[u8], expiry: Expiry) {
        // What has no hash is never in the cache.
        let Some(hash) = key_hash(key) else {
            return;
        };
        self.hashed(hash, expiry);
    }

    /// Notes a change to the key with this hash.
    pub fn hashed(&mut self, hash: u64, expiry: Expiry) {
        let expiry = match expiry {
            Expiry::Becomes(time) if !self.sure => Expiry::Maybe(time),
            other => other,
        };
        match self.items.get_mut(self.len) {
            Some(item) => {
                *item = Item { hash, expiry, reply: 0, quiet: false, pending: Pending::NONE };
                self.len += 1;
            }
            None => self.all(expiry != Expiry::Keep),
        }
    }

    /// Notes that anything may have changed; `unlearn`: expiry too.
    pub fn all(&mut self, unlearn: bool) {
        self.all = true;
        self.unlearn |= unlearn;
    }

    /// Changes noted so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Those from `from` on.
    pub fn items_mut(&mut self, from: usize) -> &mut [Item] {
        self.items.get_mut(from..self.len).unwrap_or(&mut [])
    }

    /// Takes back that it is sure of anything, changes noted so far included.
    pub fn doubt(&mut self) {
        self.sure = false;
        for item in self.items_mut(0) {
            if let Expiry::Becomes(time) = item.expiry {
                item.expiry = Expiry::Maybe(time);
            }
            item.reply = 0;
        }
    }

    /// Notes that the reply to an earlier change will not be known for what it is.
    pub fn give_up(&mut self, change: Pending) {
        if let Some(to) = self.given_up.get_mut(self.given_up_len) {
            *to = change;
            self.given_up_len += 1;
        }
    }

    /// Carries out what was given up; [`Report::apply`] does, too.
    pub fn apply_given_up(&self, now: u64) {
        // Not bounded by the array, so that the loop polls: the hit path would have to poll for all of it at once.
        for i in 0..self.given_up_len {
            if let Some(change) = self.given_up.get(i) {
                change.give_up(now.saturating_add(clock::settle()));
            }
        }
    }

    /// Carries it out. `hold`: how long a change to which no reply is awaited may be under way.
    pub fn apply(&mut self, now: u64, hold: u64) -> Applied {
        self.apply_given_up(now);
        if let Some(delay) = self.flush {
            clock::flush(delay, self.sure, now, hold);
        }
        if self.all {
            clock::invalidate(now.saturating_add(hold));
        }
        if self.unlearn {
            clock::unlearn(now.saturating_add(hold));
        }
        // As above.
        for i in 0..self.len {
            let Some(item) = self.items.get_mut(i) else {
                continue;
            };
            let until = match (item.reply, item.quiet) {
                (0, _) => Until::Time(now.saturating_add(hold)),
                (_, true) => Until::LaterReply,
                (_, false) => Until::Reply,
            };
            if let Some(changed) = cache::change(item.hash, now, until) {
                item.pending = changed.pending;
                ttl::learn(item.hash, item.expiry, changed.alone, now);
            }
        }
        Applied { keys: self.len as u64, all: self.all || self.flush.is_some() }
    }
}

/// What [`Report::apply`] did.
pub struct Applied {
    /// Changes to keys.
    pub keys: u64,
    /// Everything was forgotten.
    pub all: bool,
}
