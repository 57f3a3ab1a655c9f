// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use iu::host::{self, Task};

use super::*;

const EIO: LsmAction = LsmAction::Deny(Errno::from_number(5).unwrap());
const ALLOW: LsmAction = LsmAction::Allow;

fn task(pid: u32, comm: &str) {
    host::set_task(Task { pid, tid: pid + 1, comm: comm.into(), ..Task::default() });
}

fn rule(pid: u32, comm: &str, operations: u32) -> Rule {
    let mut name = [0; 16];
    name[..comm.len()].copy_from_slice(comm.as_bytes());
    let (errno, per_million) = (5, 1_000_000);
    Rule { comm: name, pid, operations, errno, per_million, skip: 0, limit: 0 }
}

fn opens(n: u32) -> usize {
    (0..n).filter(|_| host::lsm(&[0], open) != ALLOW).count()
}

#[test]
fn nothing_fails_by_default() {
    // Not even with all operations and no process.
    host::set_param(&OPERATIONS, 1023);
    let none = [
        host::lsm(&[0], open),
        host::lsm(&[0, 4], access),
        host::lsm(&[0], connect),
        host::lsm(&[0], fork),
    ];
    assert_eq!(none, [ALLOW; 4]);
    TARGETS.set(0, rule(0, "", 1023)).unwrap();
    assert_eq!(opens(10), 0);
}

#[test]
fn each_operation_by_itself() {
    host::set_param(&PID, 7);
    task(7, "x");
    for bit in 0..10 {
        host::set_param(&OPERATIONS, 1 << bit);
        let verdicts = [
            host::lsm(&[0], open),
            host::lsm(&[0, 4], access),
            host::lsm(&[0, 2], access),
            host::lsm(&[0], connect),
            host::lsm(&[0], send),
            host::lsm(&[0], receive),
            host::lsm(&[0], map),
            host::lsm(&[0], execute),
            host::lsm(&[0], fork),
            host::lsm(&[0], unlink),
        ];
        for (i, v) in verdicts.iter().enumerate() {
            assert_eq!(*v, if i == bit { EIO } else { ALLOW }, "{bit} at {i}");
        }
        // Neither reads nor writes.
        assert_eq!(host::lsm(&[0, 1], access), ALLOW);
    }
    assert!((0..10).all(|i| INJECTED.get(i) == Some(1)));
    task(8, "x");
    assert_eq!(host::lsm(&[0], unlink), ALLOW);
}

#[test]
fn rules_of_the_map() {
    TARGETS.set(3, rule(0, "victim", 1)).unwrap();
    TARGETS.set(7, Rule { errno: 28, ..rule(9, "victim", 1) }).unwrap();
    task(1, "victim");
    assert_eq!(host::lsm(&[0], open), EIO);
    task(9, "victims");
    assert_eq!(host::lsm(&[0], open), ALLOW);
    // The first that has an error for it.
    task(9, "victim");
    assert_eq!(host::lsm(&[0], open), EIO);
    TARGETS.set(3, Rule { limit: 2, ..rule(0, "victim", 1) }).unwrap();
    assert_eq!(host::lsm(&[0], open), LsmAction::Deny(Errno::NOSPC));
    // No error: no rule.
    for errno in [0, 4096, u32::MAX] {
        TARGETS.set(7, Rule { errno, ..rule(9, "victim", 1) }).unwrap();
        assert_eq!(host::lsm(&[0], open), ALLOW);
    }
}

#[test]
fn skip_limit_and_probability() {
    host::set_param(&PID, 7);
    host::set_param(&OPERATIONS, 1);
    host::set_param(&SKIP, 3);
    host::set_param(&LIMIT, 2);
    task(7, "x");
    let all: Vec<_> = (0..8).map(|_| opens(1)).collect();
    assert_eq!(all, [0, 0, 0, 1, 1, 0, 0, 0]);
    assert_eq!(INJECTED.get(0), Some(2));
    host::reset();
    host::set_param(&PID, 7);
    host::set_param(&OPERATIONS, 1);
    host::set_param(&PER_MILLION, 250_000);
    task(7, "x");
    assert!((400..600).contains(&opens(2000)));
}

#[test]
#[should_panic(expected = "out of range")]
fn errno_has_a_range() {
    host::set_param(&ERRNO, 0);
}
