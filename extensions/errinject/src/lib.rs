// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

//! Lets operations of chosen processes fail. The kernel asks its security modules before each of these, and hands
//! on to the program what they answer: so any error can be the answer.

#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use iu::prelude::*;

/// Process that errors are injected into; 0: none but those of the map.
#[param(default = 0, max = 4194304)]
static PID: Param<u32>;

/// Which of its operations: a sum of [`Operation`]s.
#[param(default = 0, max = 1023)]
static OPERATIONS: Param<u32>;

/// The error.
#[param(default = 5, min = 1, max = 133)]
static ERRNO: Param<u32>;

/// Operations of a million that fail.
#[param(default = 1000000, min = 1, max = 1000000)]
static PER_MILLION: Param<u32>;

/// Operations before the first that may fail.
#[param(default = 0)]
static SKIP: Param<u64>;

/// Errors that are injected at most; 0: any number.
#[param(default = 0)]
static LIMIT: Param<u64>;

/// What can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Operation {
    /// `open` of any kind, also by `execve`.
    Open = 0,
    /// `read` of any kind, of files and, by these calls, of sockets.
    Read = 1,
    /// `write` of any kind.
    Write = 2,
    /// `connect`.
    Connect = 3,
    /// `send` of any kind, and `write` to a socket.
    Send = 4,
    /// `recv` of any kind, and `read` from a socket.
    Receive = 5,
    /// `mmap`, of files or none.
    Map = 6,
    /// `execve`, when the file has been opened.
    Execute = 7,
    /// `fork`, `clone`.
    Fork = 8,
    /// `unlink`.
    Unlink = 9,
}

/// Who is to fail, and how. What is zero at `pid` and `comm` is everybody; a rule where both are is none.
#[plain]
pub struct Rule {
    /// Name of the thread, padded with zeros.
    pub comm: [u8; 16],
    /// Process.
    pub pid: u32,
    /// A sum of [`Operation`]s, as bits; 0: no rule.
    pub operations: u32,
    /// The error, 1 to 4095; another injects nothing.
    pub errno: u32,
    /// Operations of a million that fail.
    pub per_million: u32,
    /// Operations before the first that may fail.
    pub skip: u64,
    /// Errors that are injected at most; 0: any number.
    pub limit: u64,
}

/// Rules beside that of the parameters.
const RULES: u32 = 8;

/// Rules that user space sets, looked at in their order after that of the parameters.
#[map]
pub static TARGETS: Array<Rule, RULES> = Array::new();

/// Of each rule, that of the parameters last: operations that it was about, and errors that it chose.
/// User space sets them to zero to begin anew.
#[map]
static PROGRESS: Array<u64, { 2 * (RULES + 1) }> = Array::new();

/// Errors injected, by [`Operation`].
#[map]
static INJECTED: Array<u64, 10> = Array::new();

impl Rule {
    fn of_params() -> Rule {
        Rule {
            comm: [0; 16],
            pid: PID.get(),
            operations: OPERATIONS.get(),
            errno: ERRNO.get(),
            per_million: PER_MILLION.get(),
            skip: SKIP.get(),
            limit: LIMIT.get(),
        }
    }

    fn is_about(&self, what: Operation) -> bool {
        let anybody = self.comm == [0; 16];
        self.operations & 1 << what as u32 != 0
            && (self.pid != 0 || !anybody)
            && (self.pid == 0 || self.pid == task::pid())
            && (anybody || self.comm == task::comm())
    }

    /// The error, if it is the turn of this operation.
    fn choose(&self, number: u32) -> Option<Errno> {
        let errno = Errno::from_number(self.errno)?;
        let before = PROGRESS.fetch_add(2 * number, 1)?;
        if before < self.skip
            || (self.per_million < 1_000_000 && random::u32() % 1_000_000 >= self.per_million)
        {
            return None;
        }
        let chosen = PROGRESS.fetch_add(2 * number + 1, 1)?;
        (self.limit == 0 || chosen < self.limit).then_some(errno)
    }
}

#[inline(never)]
fn judge(what: Operation) -> LsmAction {
    let rule = Rule::of_params();
    if rule.is_about(what)
        && let Some(errno) = rule.choose(RULES)
    {
        return inject(what, errno);
    }
    for number in 0..RULES {
        if let Some(rule) = TARGETS.get(number)
            && rule.is_about(what)
            && let Some(errno) = rule.choose(number)
        {
            return inject(what, errno);
        }
    }
    LsmAction::Allow
}

fn inject(what: Operation, errno: Errno) -> LsmAction {
    INJECTED.fetch_add(what as u32, 1);
    LsmAction::Deny(errno)
}

#[lsm(on_fault = allow)]
fn open(_: LsmContext) -> LsmAction {
    judge(Operation::Open)
}

/// `(struct file *file, int mask)`: `MAY_WRITE` is 2, `MAY_READ` 4.
#[lsm(on_fault = allow)]
fn access(ctx: LsmContext<(KernelPtr, i32)>) -> LsmAction {
    let (_, mask) = ctx.args();
    match mask {
        m if m & 2 != 0 => judge(Operation::Write),
        m if m & 4 != 0 => judge(Operation::Read),
        _ => LsmAction::Allow,
    }
}

#[lsm(on_fault = allow)]
fn connect(_: LsmContext) -> LsmAction {
    judge(Operation::Connect)
}

#[lsm(on_fault = allow)]
fn send(_: LsmContext) -> LsmAction {
    judge(Operation::Send)
}

#[lsm(on_fault = allow)]
fn receive(_: LsmContext) -> LsmAction {
    judge(Operation::Receive)
}

#[lsm(on_fault = allow)]
fn map(_: LsmContext) -> LsmAction {
    judge(Operation::Map)
}

#[lsm(on_fault = allow)]
fn execute(_: LsmContext) -> LsmAction {
    judge(Operation::Execute)
}

#[lsm(on_fault = allow)]
fn fork(_: LsmContext) -> LsmAction {
    judge(Operation::Fork)
}

#[lsm(on_fault = allow)]
fn unlink(_: LsmContext) -> LsmAction {
    judge(Operation::Unlink)
}
