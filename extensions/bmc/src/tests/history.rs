// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! Never a stale value: a memcached that takes its time, beside the cache.
//!
//! Requests wait in their connections' queues, are carried out at a random time, and their replies
//! leave at a later one. Clients cut requests at random, pipeline them, send segments again,
//! break connections and use numbers twice. Whenever the cache answers, the answer
//! must be what memcached holds at that moment: a change that is still waiting has forgotten the item already.
//!
//! `BMC_HISTORY=1000000 cargo test --release history` for as many steps.

use std::collections::{HashMap, VecDeque};

use super::*;

const KEYS: usize = 6;
const CONNECTIONS: usize = 5;

#[derive(Clone, Debug)]
enum Operation {
    Set { key: usize, value: u64, time: i64, quiet: bool },
    Add { key: usize, value: u64, time: i64 },
    Touch { key: usize, time: i64 },
    Delete { key: usize },
    Flush,
    Get { key: usize },
}

struct Item {
    value: u64,
    /// When it is gone.
    end: u64,
}

#[derive(Default)]
struct Memcached {
    items: HashMap<usize, Item>,
}

fn end_of(time: i64, now: u64) -> u64 {
    match time {
        0 => u64::MAX,
        ..0 => 0,
        _ => now / SECOND * SECOND + time as u64 * SECOND,
    }
}

impl Memcached {
    fn get(&self, key: usize, now: u64) -> Option<u64> {
        self.items.get(&key).filter(|i| now < i.end).map(|i| i.value)
    }

    fn text(&self, key: usize, now: u64) -> String {
        match self.get(key, now) {
            Some(v) => format!("VALUE k{key} 0 {}\r\n{v}\r\nEND\r\n", v.to_string().len()),
            None => "END\r\n".to_string(),
        }
    }

    /// Carries a request out and returns the reply to it.
    fn carry_out(&mut self, op: &Operation, now: u64) -> String {
        match *op {
            Operation::Set { key, value, time, quiet } => {
                self.items.insert(key, Item { value, end: end_of(time, now) });
                if quiet { String::new() } else { "STORED\r\n".to_string() }
            }
            Operation::Add { key, value, time } => {
                if self.get(key, now).is_some() {
                    return "NOT_STORED\r\n".to_string();
                }
                self.items.insert(key, Item { value, end: end_of(time, now) });
                "STORED\r\n".to_string()
            }
            Operation::Touch { key, time } => {
                if self.get(key, now).is_none() {
                    return "NOT_FOUND\r\n".to_string();
                }
                self.items.entry(key).and_modify(|i| i.end = end_of(time, now));
                "TOUCHED\r\n".to_string()
            }
            Operation::Delete { key } => match self.items.remove(&key).filter(|i| now < i.end) {
                Some(_) => "DELETED\r\n".to_string(),
                None => "NOT_FOUND\r\n".to_string(),
            },
            Operation::Flush => {
                self.items.clear();
                "OK\r\n".to_string()
            }
            Operation::Get { key } => self.text(key, now),
        }
    }
}

fn written(op: &Operation) -> String {
    match *op {
        Operation::Set { key, value, time, quiet } => {
            let v = value.to_string();
            format!(
                "set k{key} 0 {time} {}{}\r\n{v}\r\n",
                v.len(),
                if quiet { " noreply" } else { "" }
            )
        }
        Operation::Add { key, value, time } => {
            let v = value.to_string();
            format!("add k{key} 0 {time} {}\r\n{v}\r\n", v.len())
        }
        Operation::Touch { key, time } => format!("touch k{key} {time}\r\n"),
        Operation::Delete { key } => format!("delete k{key}\r\n"),
        Operation::Flush => "flush_all\r\n".to_string(),
        Operation::Get { key } => format!("get k{key}\r\n"),
    }
}

struct Connection {
    client: Client,
    /// Bytes of requests that have not been sent, and the requests that end at each of their ends.
    unsent: Vec<u8>,
    ends: VecDeque<(usize, Operation)>,
    /// Received by the server, not carried out, and when they arrived.
    waiting: VecDeque<(Operation, u64)>,
    /// Written by the server, not left yet.
    replies: Vec<u8>,
    last: Option<(u32, Vec<u8>)>,
}

impl Connection {
    fn new(port: u16) -> Connection {
        Connection {
            client: Client::connect(port),
            unsent: Vec::new(),
            ends: VecDeque::new(),
            waiting: VecDeque::new(),
            replies: Vec::new(),
            last: None,
        }
    }

    fn write(&mut self, op: Operation) {
        self.unsent.extend(written(&op).bytes());
        self.ends.push_back((self.unsent.len(), op));
    }

    fn send(&mut self, n: usize, now: u64) {
        let part: Vec<u8> = self.unsent.drain(..n).collect();
        self.last = Some((self.client.seq, part.clone()));
        self.client.says(&part);
        for end in &mut self.ends {
            end.0 -= n.min(end.0);
        }
        while self.ends.front().is_some_and(|e| e.0 == 0) {
            self.waiting.push_back((self.ends.pop_front().unwrap().1, now));
        }
    }
}

struct World {
    n: Numbers,
    now: u64,
    mc: Memcached,
    connections: Vec<Connection>,
    /// Requests over UDP that wait, by number, and replies that wait; with their time of arrival.
    asked: Vec<(u16, usize, u64)>,
    answers: Vec<(u16, String, u64)>,
    /// Requests of connections that broke, and when they arrived.
    orphans: VecDeque<(Operation, u64)>,
    /// Segments are sent again, and connections break.
    faults: bool,
    next_value: u64,
    next_port: u16,
    served: u64,
}

impl World {
    fn operation(&mut self) -> Operation {
        let key = self.n.below(KEYS);
        self.next_value += 1;
        let value = self.next_value;
        let time = [0, 0, 0, 0, 3, 10, 60, -1][self.n.below(8)];
        match self.n.below(40) {
            0..18 => Operation::Set { key, value, time, quiet: self.n.below(6) == 0 },
            18..22 => Operation::Add { key, value, time },
            22..26 => Operation::Touch { key, time },
            26..32 => Operation::Delete { key },
            32 if self.n.below(4) == 0 => Operation::Flush,
            _ => Operation::Get { key },
        }
    }

    /// Carries out what has waited longer than this.
    fn catch_up(&mut self, wait: u64) {
        let due = |w: &(Operation, u64)| w.1 + wait < self.now;
        for c in &mut self.connections {
            while c.waiting.front().is_some_and(due) {
                let reply = self.mc.carry_out(&c.waiting.pop_front().unwrap().0, self.now);
                c.replies.extend(reply.bytes());
            }
        }
        // A reply that is later than a client would wait does not come.
        self.asked.retain(|a| a.2 + 4 * wait > self.now);
        self.answers.retain(|a| a.2 + 4 * wait > self.now);
        while self.orphans.front().is_some_and(due) {
            self.mc.carry_out(&self.orphans.pop_front().unwrap().0, self.now);
        }
    }

    fn step(&mut self) {
        // memcached carries out what it has received within this, here and by the parameter.
        const SETTLE: u64 = SECOND;
        self.now += self.n.below(4_000_000) as u64;
        if self.n.below(1000) == 0 {
            // Nothing happens for long.
            self.catch_up(0);
            self.now += 70 * SECOND;
        }
        self.catch_up(SETTLE / 2);
        host::set_ktime_ns(self.now);
        let at = self.n.below(CONNECTIONS);
        match self.n.below(100) {
            0..5 => {
                let op = self.operation();
                self.connections[at].write(op);
            }
            5..15 => {
                let c = &mut self.connections[at];
                let n = if self.n.below(3) > 0 {
                    c.unsent.len()
                } else {
                    self.n.below(c.unsent.len() + 1)
                };
                if n > 0 {
                    c.send(n, self.now);
                }
            }
            15..27 => {
                if let Some((op, _)) = self.connections[at].waiting.pop_front() {
                    let reply = self.mc.carry_out(&op, self.now);
                    self.connections[at].replies.extend(reply.bytes());
                }
            }
            27..39 => {
                let c = &mut self.connections[at];
                let n = if self.n.below(3) > 0 {
                    c.replies.len()
                } else {
                    self.n.below(c.replies.len() + 1)
                };
                let part: Vec<u8> = c.replies.drain(..n).collect();
                c.client.hears(&part);
            }
            39..57 => self.get(),
            57..77 => {
                if !self.asked.is_empty() {
                    let which = self.n.below(self.asked.len());
                    let (id, key, since) = self.asked.swap_remove(which);
                    self.answers.push((id, self.mc.text(key, self.now), since));
                }
            }
            77..98 => {
                if !self.answers.is_empty() {
                    let which = self.n.below(self.answers.len());
                    let (id, text, _) = self.answers.swap_remove(which);
                    memcached_says(id, text.as_bytes());
                }
            }
            98 if self.faults && self.n.below(60) == 0 => {
                let c = &self.connections[at];
                if let Some((seq, part)) = &c.last {
                    c.client.arrives(*seq, part);
                }
            }
            99 if self.faults && self.n.below(60) == 0 => {
                // It breaks; what the server has received it carries out all the same, later.
                let mut old =
                    std::mem::replace(&mut self.connections[at], Connection::new(self.next_port));
                self.next_port += 1;
                old.client.from_client(packet::RST, b"");
                self.orphans.extend(old.waiting);
            }
            _ => {}
        }
    }

    fn get(&mut self) {
        let key = self.n.below(KEYS);
        // Numbers come again, now and then while the first is still out.
        let id = self.n.below(60) as u16;
        match ask(id, format!("get k{key}\r\n").as_bytes()) {
            Some(text) => {
                self.served += 1;
                let want = self.mc.text(key, self.now);
                assert_eq!(String::from_utf8_lossy(&text), want, "k{key} at {}", self.now);
            }
            None => self.asked.push((id, key, self.now)),
        }
    }
}

#[test]
fn history() {
    let steps: u64 =
        std::env::var("BMC_HISTORY").map_or(300_000, |n| n.parse().expect("a number of steps"));
    let mut total = 0;
    for seed in 0..steps.div_ceil(20_000) {
        host::reset();
        host::set_ktime_ns(1000 * SECOND);
        let mut w = World {
            n: Numbers(seed),
            now: 1000 * SECOND,
            mc: Memcached::default(),
            connections: (0..CONNECTIONS as u16).map(|i| Connection::new(10_000 + i)).collect(),
            asked: Vec::new(),
            answers: Vec::new(),
            orphans: VecDeque::new(),
            faults: seed % 2 == 1,
            next_value: 0,
            next_port: 20_000,
            served: 0,
        };
        for _ in 0..20_000 {
            w.step();
        }
        total += w.served;
        if std::env::var_os("BMC_HISTORY_COUNTS").is_some() {
            let counts: Vec<u64> = (0..9).map(|i| STATS.get(i).unwrap()).collect();
            println!("{counts:?} {}", w.asked.len());
        }
    }
    println!("{total} answers of the cache in {steps} steps");
    assert!(total > steps / 400, "the cache answered only {total} times");
}
