// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! The same answers as a real memcached, at every step.
//!
//! Two memcacheds get the same requests in the same order. What goes to and comes from the
//! first passes through the programs, as the frames that the kernel would see; what they answer
//! themselves never gets to it. Changes wait between `rx` and memcached, replies between
//! memcached and `tx`, and others ask meanwhile. Whatever comes back must be what the second says.
//!
//! `BMC_REAL=1000000 cargo test --release real` for as many requests.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};

use super::*;
use crate::proto::binary::tests::make;

const KEYS: usize = 24;
const CONNECTIONS: usize = 5;
/// The last connections speak binary.
const BINARY: usize = 1;

/// A memcached of this test's own.
struct Memcached {
    child: Child,
    port: u16,
    udp: UdpSocket,
}

impl Drop for Memcached {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Memcached {
    fn start() -> Memcached {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("its number").port();
        drop(free);
        let p = port.to_string();
        let child = Command::new("memcached")
            .args(["-u", "nobody", "-l", "127.0.0.1", "-p", &p, "-U", &p, "-t", "1", "-m", "64"])
            .stderr(Stdio::null())
            .spawn()
            .expect("memcached, which scripts/bootstrap installs");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        udp.connect(("127.0.0.1", port)).expect("a UDP address");
        udp.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("a time");
        let m = Memcached { child, port, udp };
        drop(m.dial());
        m
    }

    fn dial(&self) -> TcpStream {
        for _ in 0..500 {
            if let Ok(c) = TcpStream::connect(("127.0.0.1", self.port)) {
                c.set_nodelay(true).expect("no delay");
                c.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("a time");
                return c;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("memcached does not listen");
    }

    /// Sends a request over UDP; the datagrams of the reply.
    fn ask(&self, id: u16, text: &[u8]) -> Vec<Vec<u8>> {
        self.udp.send(&message(id, text)).expect("send");
        let mut all = Vec::new();
        loop {
            let mut buffer = vec![0; 65536];
            let n = match self.udp.recv(&mut buffer) {
                Ok(n) => n,
                Err(e) => {
                    panic!("{e}: {} datagrams of a reply to {}", all.len(), text.escape_ascii())
                }
            };
            buffer.truncate(n);
            if buffer[..2] != id.to_be_bytes() {
                continue;
            }
            all.push(buffer);
            // Each item of a reply may be counted by itself, so their number does not tell; and its end
            // may be in two of them.
            if joined(&all).ends_with(get::END) {
                return all;
            }
        }
    }
}

fn joined(datagrams: &[Vec<u8>]) -> Vec<u8> {
    datagrams.iter().flat_map(|d| d[8..].to_vec()).collect()
}

/// Reads one reply of either protocol.
fn read_reply(from: &mut TcpStream, binary: bool) -> Vec<u8> {
    let mut all = Vec::new();
    let more = |all: &mut Vec<u8>, n: usize, from: &mut TcpStream| {
        let at = all.len();
        all.resize(at + n, 0);
        from.read_exact(&mut all[at..]).expect("the rest of a reply");
    };
    if binary {
        more(&mut all, 24, from);
        let n = u32::from_be_bytes(all[8..12].try_into().expect("four bytes"));
        more(&mut all, n as usize, from);
        return all;
    }
    loop {
        let at = all.len();
        while !all[at..].ends_with(b"\r\n") {
            more(&mut all, 1, from);
        }
        let line = String::from_utf8_lossy(&all[at..]).into_owned();
        let mut words = line.split_whitespace();
        match words.next() {
            Some("VALUE") => {
                let n: usize = words.nth(2).expect("bytes").parse().expect("a number");
                more(&mut all, n + 2, from);
            }
            Some("VA") => {
                let n: usize = words.next().expect("bytes").parse().expect("a number");
                more(&mut all, n + 2, from);
                return all;
            }
            _ => return all,
        }
    }
}

struct Connection {
    client: Client,
    /// To the memcached behind the programs and to the other.
    streams: [TcpStream; 2],
    binary: bool,
}

struct Test {
    n: Numbers,
    now: u64,
    servers: [Memcached; 2],
    connections: Vec<Connection>,
    /// Replies that have not left yet.
    leaving: VecDeque<Vec<u8>>,
    next_port: u16,
    done: u64,
    gets: u64,
    hits: u64,
}

impl Test {
    fn key(&mut self) -> String {
        let k = self.n.below(KEYS);
        match k % 8 {
            6 => format!("key:{k}:{}", "k".repeat(240 - k / 10)),
            7 => format!("{k}"),
            _ => format!("some:key:{k}"),
        }
    }

    fn data(&mut self) -> Vec<u8> {
        let n = match self.n.below(20) {
            0 => self.n.below(1600),
            1 => return (1 + self.n.below(999)).to_string().into_bytes(),
            2 => return b"x\r\nset some:key:1 0 0 1\r\n".to_vec(),
            _ => self.n.below(60),
        };
        let mut data: Vec<u8> = (0..n).map(|_| self.n.below(256) as u8).collect();
        // Nothing that memcached reads as a number of fewer digits than it has bytes, see `change`.
        let digits = data.iter().take_while(|b| b.is_ascii_digit()).count();
        if let Some(b) = data.get_mut(digits).filter(|b| b.is_ascii_whitespace() || **b == 0x0b) {
            *b = b'x';
        }
        if let Some(b) = data.first_mut().filter(|b| **b == b'0') {
            *b = b'o';
        }
        data
    }

    fn store(&mut self, command: &str, tail: &str) -> Vec<u8> {
        let (key, data) = (self.key(), self.data());
        let flags = self.n.below(3) * 1000;
        let time = [0, 0, 0, 0, 100_000, -1][self.n.below(6)];
        let line = format!("{command} {key} {flags} {time} {}{tail}\r\n", data.len());
        [line.as_bytes(), &data, b"\r\n"].concat()
    }

    /// A request over TCP that has one reply, by text or, after one without, by `mn`.
    fn change(&mut self) -> Vec<u8> {
        let key = self.key();
        let time = [0, 0, 100_000, -1][self.n.below(4)];
        let simple = |text: String| text.into_bytes();
        match self.n.below(4000) {
            0 => return b"flush_all\r\n".to_vec(),
            1 => return b"flush_all noreply\r\nmn\r\n".to_vec(),
            2 => return b"nonsense\r\n".to_vec(),
            _ => {}
        }
        match self.n.below(24) {
            0..=6 => self.store("set", ""),
            7 => self.store("add", ""),
            8 => self.store("replace", ""),
            9 => self.store("append", ""),
            10 => self.store("prepend", ""),
            11 => {
                let unique = format!(" {}", self.n.below(2000));
                self.store("cas", &unique)
            }
            // Whether a number that gets shorter is padded hangs on who else looks at the item just then.
            12 => simple(format!(
                "set {key} 0 0 2 noreply\r\n57\r\nincr {key} {}\r\n",
                self.n.below(100)
            )),
            13 => simple(format!(
                "set {key} 0 0 2 noreply\r\n57\r\ndecr {key} {}\r\n",
                self.n.below(40)
            )),
            14 | 15 => simple(format!("delete {key}\r\n")),
            16 => simple(format!("touch {key} {time}\r\n")),
            17 => simple(format!("gat {time} {key} {}\r\n", self.key())),
            18 => simple(format!("gets {key} {}\r\n", self.key())),
            19 => {
                let data = self.data();
                let line = format!("ms {key} {} T{time} c\r\n", data.len());
                [line.as_bytes(), &data, b"\r\n"].concat()
            }
            20 => simple(format!("md {key}\r\n")),
            21 => simple(format!("mg {key} v T{time} c\r\n")),
            22 => [self.store("set", " noreply"), b"mn\r\n".to_vec()].concat(),
            _ => simple(format!("ma {key} N100000 J5 v\r\n")),
        }
    }

    /// The same in binary.
    fn binary(&mut self) -> Vec<u8> {
        let (key, data) = (self.key(), self.data());
        let key = key.as_bytes();

        let time = [0_u32, 0, 100_000][self.n.below(3)].to_be_bytes();
        let store = [&[0, 0, 0, 7][..], &time].concat();
        let number = [&1_u64.to_be_bytes()[..], &[0; 8], &time].concat();
        match self.n.below(10) {
            0..=3 => make(0x01, 0, &store, key, &data),
            4 => make(0x02, 0, &store, key, &data),
            5 => make(0x04, 0, &[], key, b""),
            6 => make(0x05, 0, &number, key, b""),
            7 => make(0x0e, 0, &[], key, &data),
            8 => make(0x1c, 0, &time, key, b""),
            // Quiet, and one that has a reply.
            _ => [make(0x11, 0, &store, key, &data), make(0x0a, 0, &[], b"", b"")].concat(),
        }
    }

    fn tick(&mut self) {
        self.now += 1_000_000 + self.n.below(1000) as u64;
        host::set_ktime_ns(self.now);
    }

    /// Connections come and go; one that was not understood is not followed any more.
    fn reconnect(&mut self, at: usize) {
        let c = &mut self.connections[at];
        c.client.from_client(packet::ACK | packet::FIN, b"");
        c.client.from_server(packet::ACK | packet::FIN, b"");
        self.next_port = self.next_port % 10_000 + 1;
        c.client = Client::connect(50_100 + self.next_port);
        c.streams = self.servers.each_ref().map(Memcached::dial);
    }

    fn write(&mut self) {
        let at = self.n.below(CONNECTIONS);
        if self.n.below(50) == 0 {
            self.reconnect(at);
        }
        let text = if self.connections[at].binary { self.binary() } else { self.change() };
        let mut rest = &text[..];
        while !rest.is_empty() {
            let n = if self.n.below(3) == 0 { 1 + self.n.below(rest.len()) } else { rest.len() };
            let (part, after) = rest.split_at(n.min(1400));
            let c = &mut self.connections[at].client;
            if self.n.below(1000) == 0 {
                // What got lost comes again.
                c.arrives(c.seq, part);
            }
            c.says(part);
            rest = after;
            self.tick();
            for _ in 0..self.n.below(3) / 2 {
                self.read();
            }
        }
        let c = &mut self.connections[at];
        let replies = c.streams.each_mut().map(|s| {
            s.write_all(&text).expect("write to memcached");
            read_reply(s, c.binary)
        });
        assert!(replies[0] == replies[1], "{}", self.differ(&text, &replies));
        for _ in 0..self.n.below(3) {
            self.read();
        }
        let mut rest = &replies[0][..];
        while !rest.is_empty() {
            let n = if self.n.below(4) == 0 { 1 + self.n.below(rest.len()) } else { rest.len() };
            let (part, after) = rest.split_at(n.min(1400));
            self.connections[at].client.hears(part);
            rest = after;
        }
        self.done += 1;
    }

    fn read(&mut self) {
        self.tick();
        let mut text = format!("get {}", self.key());
        while self.n.below(6) == 0 {
            text += &format!(" {}", self.key());
        }
        text += "\r\n";
        let text = text.as_bytes();
        // Numbers come again, now and then while a reply is still out.
        let id = self.n.below(500) as u16;
        let want = joined(&self.servers[1].ask(id, text));
        let got = match ask(id, text) {
            Some(got) => {
                self.hits += 1;
                got
            }
            None => {
                let datagrams = self.servers[0].ask(id, text);
                let got = joined(&datagrams);
                for payload in datagrams {
                    let shape = Shape::default();
                    self.leaving.push_back(datagram(
                        &shape,
                        (SERVER, 11211),
                        (CLIENT, CLIENT_PORT),
                        &payload,
                    ));
                }
                got
            }
        };
        assert!(got == want, "{}", self.differ(text, &[got, want]));
        self.gets += 1;
        self.done += 1;
        // Most replies leave at once, some much later.
        while !self.leaving.is_empty() && self.n.below(8) > 0 {
            if let Some(bytes) = self.leaving.pop_front() {
                leaves(Packet::new(&bytes).linear(42));
            }
        }
    }

    fn differ(&self, request: &[u8], answers: &[Vec<u8>; 2]) -> String {
        let [got, want] = answers.each_ref().map(|a| a.escape_ascii().to_string());
        format!(
            "request {}: the answer to {} is {got}, without bmc {want}",
            self.done,
            request.escape_ascii()
        )
    }
}

#[test]
fn real() {
    let requests: u64 =
        std::env::var("BMC_REAL").map_or(20_000, |n| n.parse().expect("a number of requests"));
    let seed: u64 = std::env::var("BMC_REAL_SEED").map_or(1, |n| n.parse().expect("a number"));
    host::set_ktime_ns(1000 * SECOND);
    let servers = [Memcached::start(), Memcached::start()];
    let connections = (0..CONNECTIONS)
        .map(|i| Connection {
            client: Client::connect(50_000 + i as u16),
            streams: servers.each_ref().map(Memcached::dial),
            binary: i >= CONNECTIONS - BINARY,
        })
        .collect();
    let mut t = Test {
        n: Numbers(seed),
        now: 1000 * SECOND,
        servers,
        connections,
        leaving: VecDeque::new(),
        next_port: 0,
        done: 0,
        gets: 0,
        hits: 0,
    };
    while t.done < requests {
        for _ in 0..t.n.below(4) {
            t.write();
        }
        for _ in 0..t.n.below(40) {
            t.read();
        }
    }
    let counts: Vec<u64> = (0..9).map(|i| STATS.get(i).unwrap_or(0)).collect();
    println!("counters {counts:?}");
    println!(
        "{} requests, the same as without; {} of {} gets answered by bmc",
        t.done, t.hits, t.gets
    );
    assert!(t.hits > t.gets / 5, "of {} gets, the cache answered only {}", t.gets, t.hits);
}
