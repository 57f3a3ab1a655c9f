// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The hooks with typed arguments: fentry, fexit, tp_btf, lsm.

#![no_std]
#![forbid(unsafe_code)]

use iu::prelude::*;

/// Sockets of this family are refused; 0 refuses none.
#[param(default = 0)]
static FAMILY: Param<u16>;

/// Calls of each program, as [`REMOVING`] and so on.
#[map]
static CALLS: Array<u64, 5> = Array::new();
const REMOVING: u32 = 0;
const REMOVED: u32 = 1;
const STARTED: u32 = 2;
const SOCKETS: u32 = 3;
const TICKS: u32 = 4;

#[plain]
struct Removal {
    /// What `unlink` returned: 0 or a negative errno.
    result: i64,
    /// Who asked for it.
    pid: u32,
    uid: u32,
    name: [u8; 64],
}

/// The last removal of a file.
#[map]
static LAST: LockedArray<Removal, 1> = LockedArray::new();

/// The process that last became another program.
#[map]
static EXEC: Array<u32, 2> = Array::new();

/// `int do_unlinkat(int dfd, struct filename *name)`; `struct filename` starts with a
/// pointer to the name.
#[fentry]
fn removing(ctx: FentryContext<(i32, KernelPtr)>) {
    let (_dfd, filename) = ctx.args();
    CALLS.fetch_add(REMOVING, 1);
    let mut name = [0; 64];
    if let Ok(at) = filename.read::<u64>() {
        let _ = KernelPtr::new(at).read_str(&mut name);
    }
    if let Some(mut last) = LAST.lock(0) {
        *last = Removal { result: 1, pid: task::pid(), uid: task::uid(), name };
    }
}

#[fexit]
fn removed(ctx: FexitContext<(), i32>) {
    CALLS.fetch_add(REMOVED, 1);
    if let Some(mut last) = LAST.lock(0) {
        last.result = i64::from(ctx.ret());
    }
}

/// `(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`
#[tp_btf]
fn started(ctx: TpBtfContext<(KernelPtr, i32)>) {
    let (_task, old_pid) = ctx.args();
    CALLS.fetch_add(STARTED, 1);
    let _ = EXEC.set(0, task::pid());
    let _ = EXEC.set(1, old_pid as u32);
}

/// `int socket_create(int family, int type, int protocol, int kern)`
#[lsm(on_fault = allow)]
fn sockets(ctx: LsmContext<(i32, i32, i32, i32)>) -> LsmAction {
    let (family, _, _, kern) = ctx.args();
    CALLS.fetch_add(SOCKETS, 1);
    match FAMILY.get() {
        f if f != 0 && kern == 0 && family == i32::from(f) => LsmAction::Deny(Errno::ACCES),
        _ => LsmAction::Allow,
    }
}

/// Runs in the timer's interrupt, many times a second.
#[fentry]
fn ticks(_: FentryContext) {
    CALLS.fetch_add(TICKS, 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use iu::host;

    #[test]
    fn removals() {
        let (filename, name) = (KernelPtr::new(0x1000), KernelPtr::new(0x2000));
        host::put_kernel(filename, &name.addr().to_ne_bytes());
        host::put_kernel(name, b"/tmp/x\0");
        host::fentry(&[-100i64 as u64, filename.addr()], removing);
        host::fexit(&[-100i64 as u64, filename.addr()], -2i64 as u64, removed);
        let last = *LAST.lock(0).unwrap();
        assert_eq!((last.result, last.pid, &last.name[..7]), (-2, 1, &b"/tmp/x\0"[..]));
        // A name that cannot be read is none.
        host::fentry(&[0, 8], removing);
        assert_eq!(LAST.lock(0).unwrap().name, [0; 64]);
        assert_eq!((CALLS.get(REMOVING), CALLS.get(REMOVED)), (Some(2), Some(1)));
    }

    #[test]
    fn programs() {
        host::tp_btf(&[0, 7, 0], started);
        assert_eq!((EXEC.get(0), EXEC.get(1)), (Some(1), Some(7)));
        host::fentry(&[1], ticks);
        assert_eq!(CALLS.get(TICKS), Some(1));
    }

    #[test]
    fn families() {
        let refused = LsmAction::Deny(Errno::ACCES);
        assert_eq!(host::lsm(&[9, 2, 0, 0], sockets), LsmAction::Allow);
        host::set_param(&FAMILY, 9);
        assert_eq!(host::lsm(&[9, 2, 0, 0], sockets), refused);
        assert_eq!(host::lsm(&[9, 2, 0, 1], sockets), LsmAction::Allow);
        assert_eq!(host::lsm(&[2, 2, 0, 0], sockets), LsmAction::Allow);
    }
}
