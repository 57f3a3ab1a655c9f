// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The host backend: runs programs in user space, for `cargo test`.
//!
//! ```
//! use iu::prelude::*;
//! use iu::host::Packet;
//!
//! #[xdp]
//! fn cut(mut ctx: XdpContext) -> XdpAction {
//!     match ctx.adjust_tail(-10) {
//!         Ok(()) => XdpAction::Tx,
//!         Err(_) => XdpAction::Drop,
//!     }
//! }
//!
//! let mut p = Packet::new(&[0; 64]);
//! assert_eq!(p.xdp(cut), XdpAction::Tx);
//! assert_eq!(p.bytes().len(), 54);
//! ```
//!
//! Maps, parameters, clock and log belong to a [`World`]. Every thread starts with
//! one of its own, so tests do not see each other's maps. A panic in a program is an
//! ordinary panic of the test.

use std::borrow::ToOwned;
use std::boxed::Box;
use std::string::String;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::vec::Vec;

use crate::log::Level;
use crate::map::{CpuMap, DevMap, DevMapHash, IsMap, PerfEventArray, RingBuf};
use crate::sys::host as state;
use crate::sys::kreloc::Resolved;
use crate::{Errno, Param, ParamValue, TcAction, TcContext, XdpAction, XdpContext, abi};

mod frame;
mod hooks;
pub use frame::Frames;
pub use hooks::*;

/// Number of CPUs that programs may run on.
pub const CPUS: u32 = state::CPUS;
/// Room in front of an XDP packet, bytes (`XDP_PACKET_HEADROOM`).
pub const HEADROOM: usize = 256;
/// Largest XDP packet: a page less headroom and what the kernel keeps behind it.
pub const XDP_MAX: usize = 4096 - HEADROOM - 320;
/// Nothing is cut shorter than an Ethernet header.
const ETH_HLEN: usize = 14;

/// State that the kernel keeps for extensions: maps, parameters, clock, log.
#[derive(Clone)]
pub struct World(Arc<state::State>);

impl World {
    /// The world of this thread.
    pub fn current() -> World {
        World(state::world())
    }

    /// Makes this world the thread's own, to share maps between threads.
    pub fn enter(&self) {
        state::WORLD.with(|w| *w.borrow_mut() = self.0.clone());
    }
}

/// Gives this thread new, empty maps, default parameters and an empty log.
pub fn reset() {
    state::WORLD.with(|w| *w.borrow_mut() = Arc::default());
    state::CPU.set(0);
}

/// Says where a member of a kernel type lies, or a field of a tracepoint's record:
/// `set_field("struct net_device", "ifindex", 224, 4)`. What a test does not set is missing.
pub fn set_field(ty: &str, field: &str, offset: u32, size: u32) {
    set_kernel(ty, field, Resolved { exists: true, offset, size, ..Resolved::default() });
}

/// As [`set_field`], for a bit field: `width` bits from bit `first` of the `size` bytes at
/// `offset`.
pub fn set_bits(ty: &str, field: &str, offset: u32, size: u32, first: u32, width: u32) {
    let bits = first | width << 8;
    set_kernel(ty, field, Resolved { exists: true, offset, size, bits, value: 0 });
}

/// Sets the size of a type (`field` is empty), an enumerator, or an option of the
/// configuration (`ty` is its name, `field` is empty).
pub fn set_number(ty: &str, field: &str, value: u64) {
    set_kernel(ty, field, Resolved { exists: true, value, ..Resolved::default() });
}

fn set_kernel(ty: &str, field: &str, r: Resolved) {
    state::lock(&state::world().kernel).insert((ty.to_owned(), field.to_owned()), r);
}

/// Makes up memory of the kernel at an address, for types of [`crate::kernel`] and
/// [`crate::read`]. From then on there is no other in this world.
pub fn set_memory(addr: u64, bytes: &[u8]) {
    state::world().put_memory(false, addr, bytes);
}

/// Sets a parameter.
///
/// # Panics
/// If the value is out of the parameter's range.
pub fn set_param<T: ParamValue>(param: &'static Param<T>, value: T) {
    let d = param.descriptor();
    let v = value.to_raw();
    let ok = match d.param_type {
        abi::param_type::I64 => (d.min as i64..=d.max as i64).contains(&(v as i64)),
        _ => (d.min..=d.max).contains(&v),
    };
    assert!(ok, "parameter value {v} is out of range");
    state::lock(&state::world().params).insert(std::ptr::from_ref(d) as usize, v);
}

/// Moves this thread to a CPU below [`CPUS`].
pub fn set_cpu(cpu: u32) {
    assert!(cpu < CPUS, "there are {CPUS} CPUs");
    state::CPU.set(cpu);
}

/// Stops the clock at a time above 0.
pub fn set_ktime_ns(t: u64) {
    state::world().clock.store(t, Ordering::Relaxed);
}

/// Takes the records that programs have put into a ring buffer, oldest first.
pub fn records<const N: u32>(ring: &'static RingBuf<N>) -> Vec<Vec<u8>> {
    state::take_records(ring.cell().address()).into_iter().map(|(_, r)| r).collect()
}

/// Takes the records that programs have put into a perf event array, each with its CPU.
pub fn perf_records<const N: u32>(map: &'static PerfEventArray<N>) -> Vec<(u32, Vec<u8>)> {
    state::take_records(map.cell().address())
}

/// Maps that packets are redirected by.
pub trait Targets: IsMap {
    #[doc(hidden)]
    fn __address(&'static self) -> usize;
}

impl<const N: u32> Targets for DevMap<N> {
    fn __address(&'static self) -> usize {
        self.cell().address()
    }
}

impl<const N: u32> Targets for DevMapHash<N> {
    fn __address(&'static self) -> usize {
        self.cell().address()
    }
}

impl<const N: u32> Targets for CpuMap<N> {
    fn __address(&'static self) -> usize {
        self.cell().address()
    }
}

/// Sets a target, as user space does in the kernel.
pub fn set_target(map: &'static impl Targets, key: u32, to: u32) {
    state::set_target(map.__address(), key, to);
}

/// Takes the index of the interface that a program last named to
/// [`XdpContext::redirect`] or [`TcContext::redirect`].
pub fn redirected() -> Option<u32> {
    state::lock(&state::world().redirected).take()
}

/// Takes what programs have sent by [`TcContext::send_copy`], oldest first: the
/// interface's index and the packet.
pub fn copies() -> Vec<(u32, Vec<u8>)> {
    std::mem::take(&mut *state::lock(&state::world().copies))
}

/// Whether interrupts would be off on this CPU: a lock or a guard is held.
pub fn irqs_off() -> bool {
    state::irqs_off()
}

/// Lines logged so far.
pub fn log() -> Vec<(Level, String)> {
    let level = |n| match n {
        3 => Level::Error,
        4 => Level::Warn,
        7 => Level::Debug,
        _ => Level::Info,
    };
    state::lock(&state::world().log).iter().map(|(l, s)| (level(*l), s.clone())).collect()
}

/// A packet to run programs on.
#[derive(Clone, Debug)]
pub struct Packet {
    bytes: Vec<u8>,
    linear: usize,
    tailroom: usize,
    ifindex: u32,
    mark: u32,
}

impl Packet {
    /// A packet of these bytes, Ethernet header first, all linear, on interface 1.
    pub fn new(bytes: &[u8]) -> Packet {
        Packet {
            bytes: bytes.to_vec(),
            linear: usize::MAX,
            tailroom: usize::MAX,
            ifindex: 1,
            mark: 0,
        }
    }

    /// Only the first `n` bytes are linear: at XDP, they are the first of several buffers.
    pub fn linear(mut self, n: usize) -> Packet {
        self.linear = n;
        self
    }

    /// At XDP, the packet can grow by no more than `n` bytes at its end. By default to [`XDP_MAX`].
    pub fn tailroom(mut self, n: usize) -> Packet {
        self.tailroom = n;
        self
    }

    /// The interface's index.
    pub fn ifindex(mut self, n: u32) -> Packet {
        self.ifindex = n;
        self
    }

    /// The packet's mark.
    pub fn mark(mut self, n: u32) -> Packet {
        self.mark = n;
        self
    }

    /// The packet as the last program left it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Runs an XDP program. Bytes outside of the packet are not zero, as in the kernel.
    ///
    /// # Panics
    /// If the packet's first buffer is longer than [`XDP_MAX`], and if the program panics.
    pub fn xdp(&mut self, program: impl FnOnce(XdpContext<'_>) -> XdpAction) -> XdpAction {
        let first = self.linear.min(self.bytes.len());
        assert!(first <= XDP_MAX, "longer than an XDP packet");
        let mut frame = XdpFrame::new(&self.bytes, first, self.tailroom);
        let verdict = state::run_xdp(&mut frame, program);
        self.bytes = frame.joined();
        verdict
    }

    /// Runs a TC program.
    ///
    /// # Panics
    /// If the program panics.
    pub fn tc(&mut self, program: impl FnOnce(TcContext<'_>) -> TcAction) -> TcAction {
        let mut frame = TcFrame::new(self);
        let verdict = state::run_tc(&mut frame, program);
        self.bytes = frame.joined();
        verdict
    }
}

/// An XDP context and the memory around its packet.
#[repr(C)]
pub(crate) struct XdpFrame {
    ctx: abi::XdpBuff,
    memory: Vec<u8>,
    head: usize,
    tail: usize,
    /// The other buffers, one after the other.
    rest: Vec<u8>,
}

impl XdpFrame {
    fn new(packet: &[u8], first: usize, tailroom: usize) -> Box<XdpFrame> {
        let mut memory = std::vec![0xa5; HEADROOM + XDP_MAX];
        let (head, tail) = (HEADROOM, HEADROOM + first);
        memory[head..tail].copy_from_slice(&packet[..first]);
        memory.truncate(tail.saturating_add(tailroom));
        let rest = packet[first..].to_vec();
        let null = std::ptr::null_mut();
        let ctx = abi::XdpBuff { data: null, data_end: null };
        let mut frame = Box::new(XdpFrame { ctx, memory, head, tail, rest });
        frame.refresh();
        frame
    }

    fn refresh(&mut self) {
        let range = self.memory[self.head..self.tail].as_mut_ptr_range();
        self.ctx = abi::XdpBuff { data: range.start, data_end: range.end };
    }

    pub(crate) fn len(&self) -> usize {
        self.tail - self.head + self.rest.len()
    }

    fn joined(&self) -> Vec<u8> {
        [&self.memory[self.head..self.tail], &self.rest].concat()
    }

    pub(crate) fn load(&self, off: usize, to: &mut [u8]) -> Result<(), Errno> {
        let end = off.checked_add(to.len()).ok_or(Errno::INVAL)?;
        to.copy_from_slice(self.joined().get(off..end).ok_or(Errno::INVAL)?);
        Ok(())
    }

    pub(crate) fn store(&mut self, off: usize, from: &[u8]) -> Result<(), Errno> {
        let end = off.checked_add(from.len()).ok_or(Errno::INVAL)?;
        let mut all = self.joined();
        all.get_mut(off..end).ok_or(Errno::INVAL)?.copy_from_slice(from);
        let (first, rest) = all.split_at(self.tail - self.head);
        self.memory[self.head..self.tail].copy_from_slice(first);
        self.rest = rest.to_vec();
        self.refresh(); // what the program had of the memory is no more good for looking at it
        Ok(())
    }

    pub(crate) fn adjust_head(&mut self, delta: i32) -> Result<(), Errno> {
        let head = self.head.checked_add_signed(delta as isize).ok_or(Errno::INVAL)?;
        if head + ETH_HLEN > self.tail {
            return Err(Errno::INVAL);
        }
        self.head = head;
        self.refresh();
        Ok(())
    }

    pub(crate) fn adjust_tail(&mut self, delta: i32) -> Result<(), Errno> {
        // The last buffer grows; cut are the last ones first, down to the linear one.
        if !self.rest.is_empty() {
            let rest = self.rest.len().checked_add_signed(delta as isize);
            if let Some(rest) = rest {
                self.rest.resize(rest, 0);
                return Ok(());
            }
            let left = self.len().checked_add_signed(delta as isize).ok_or(Errno::INVAL)?;
            if left < ETH_HLEN {
                return Err(Errno::INVAL);
            }
            self.rest.clear();
            self.tail = self.head + left;
            self.refresh();
            return Ok(());
        }
        let tail = self.tail.checked_add_signed(delta as isize).ok_or(Errno::INVAL)?;
        if tail > self.memory.len() || tail < self.head + ETH_HLEN {
            return Err(Errno::INVAL);
        }
        if tail > self.tail {
            self.memory[self.tail..tail].fill(0);
        }
        self.tail = tail;
        self.refresh();
        Ok(())
    }
}

/// A TC context, the linear part and the paged part of its packet.
#[repr(C)]
pub(crate) struct TcFrame {
    ctx: abi::CtxTc,
    linear: Vec<u8>,
    paged: Vec<u8>,
}

impl TcFrame {
    fn new(p: &Packet) -> Box<TcFrame> {
        let (linear, paged) = p.bytes.split_at(p.linear.min(p.bytes.len()));
        let protocol = match p.bytes.get(12..14) {
            Some(&[a, b]) => u16::from_ne_bytes([a, b]),
            _ => 0,
        };
        let null = std::ptr::null_mut();
        let ctx = abi::CtxTc {
            data: null,
            data_end: null,
            skb: null.cast(),
            len: p.bytes.len() as u32,
            ifindex: p.ifindex,
            mark: p.mark,
            protocol: u32::from(protocol),
        };
        let mut frame = Box::new(TcFrame { ctx, linear: linear.to_vec(), paged: paged.to_vec() });
        frame.refresh();
        frame
    }

    fn refresh(&mut self) {
        let range = self.linear.as_mut_ptr_range();
        (self.ctx.data, self.ctx.data_end) = (range.start, range.end);
        self.ctx.len = (self.linear.len() + self.paged.len()) as u32;
    }

    fn joined(&self) -> Vec<u8> {
        [self.linear.as_slice(), &self.paged].concat()
    }

    /// The linear part gets new memory each time, as it may in the kernel.
    fn set(&mut self, bytes: &[u8], linear: usize) {
        let (a, b) = bytes.split_at(linear.min(bytes.len()));
        (self.linear, self.paged) = (a.to_vec(), b.to_vec());
        self.refresh();
    }

    /// As it is now; the packet itself may get new memory by it.
    pub(crate) fn copy(&mut self) -> Vec<u8> {
        let all = self.joined();
        self.set(&all, self.linear.len());
        all
    }

    pub(crate) fn pull(&mut self, n: usize) -> Result<(), Errno> {
        let all = self.joined();
        if n > all.len() {
            return Err(Errno::NOMEM);
        }
        self.set(&all, n.max(self.linear.len()));
        Ok(())
    }

    pub(crate) fn load(&self, off: usize, to: &mut [u8]) -> Result<(), Errno> {
        let all = self.joined();
        let end = off.checked_add(to.len()).ok_or(Errno::FAULT)?;
        to.copy_from_slice(all.get(off..end).ok_or(Errno::FAULT)?);
        Ok(())
    }

    pub(crate) fn store(&mut self, off: usize, from: &[u8]) -> Result<(), Errno> {
        let mut all = self.joined();
        let end = off.checked_add(from.len()).ok_or(Errno::FAULT)?;
        all.get_mut(off..end).ok_or(Errno::FAULT)?.copy_from_slice(from);
        self.set(&all, self.linear.len());
        Ok(())
    }

    /// Room in front, zeros, all linear: as the kernel does, the Ethernet header stays
    /// behind it.
    pub(crate) fn change_head(&mut self, room: usize) {
        let all = [std::vec![0; room], self.joined()].concat();
        let linear = self.linear.len() + room;
        self.set(&all, linear);
    }

    pub(crate) fn change_tail(&mut self, len: usize) -> Result<(), Errno> {
        if len < ETH_HLEN {
            return Err(Errno::INVAL);
        }
        let mut all = self.joined();
        all.resize(len, 0);
        let linear = all.len();
        self.set(&all, linear);
        Ok(())
    }

    /// Mode 0 is behind the network header (of IPv4 without options), 1 behind the
    /// Ethernet header.
    pub(crate) fn adjust_room(&mut self, delta: i32, mode: u32) -> Result<(), Errno> {
        let at = ETH_HLEN + if mode == 0 { 20 } else { 0 };
        let mut all = self.joined();
        let n = delta.unsigned_abs() as usize;
        if at + if delta < 0 { n } else { 0 } > all.len() {
            return Err(Errno::INVAL);
        }
        if delta < 0 {
            all.drain(at..at + n);
        } else {
            all.splice(at..at, std::iter::repeat_n(0, n));
        }
        let linear = all.len();
        self.set(&all, linear);
        Ok(())
    }

    pub(crate) fn vlan_push(&mut self, proto: u16, tci: u16) {
        let mut all = self.joined();
        let tag = [proto.to_ne_bytes(), tci.to_be_bytes()].concat();
        all.splice(12..12, tag);
        let linear = self.linear.len() + 4;
        self.set(&all, linear);
    }

    pub(crate) fn vlan_pop(&mut self) {
        let mut all = self.joined();
        if all.get(12..14) == Some(&[0x81, 0][..]) || all.get(12..14) == Some(&[0x88, 0xa8][..]) {
            all.drain(12..16);
            let linear = self.linear.len().saturating_sub(4);
            self.set(&all, linear);
        }
    }
}
