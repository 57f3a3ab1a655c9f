// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only

use core::marker::PhantomData;

use crate::kernel;
use crate::map::Plain;
use crate::mem::KernelPtr;
use crate::sys::trace;

/// A tracepoint's record, laid out as its format file says
/// (`/sys/kernel/tracing/events/GROUP/EVENT/format`).
///
/// [`record`](Self::record) is the typed way: where a field lies is found out when the extension is
/// loaded. The offsets of the other methods are those of the format file. The first eight bytes, the common fields, are
/// not for programs. Only the runtime makes a context, for the time of one call.
pub struct TracepointContext<'a> {
    raw: trace::Record,
    _call: PhantomData<&'a mut ()>,
}

/// Bytes of the common fields.
const COMMON: usize = 8;

impl TracepointContext<'_> {
    pub(crate) fn new(raw: trace::Record) -> Self {
        TracepointContext { raw, _call: PhantomData }
    }

    /// Bytes of the record's fixed part, the common fields included.
    #[inline(always)]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// The field at offset `off`, `None` if it does not lie inside.
    #[inline(always)]
    pub fn field<T: Plain>(&self, off: usize) -> Option<T> {
        let mut v = T::new_zeroed();
        (off >= COMMON && self.raw.copy(off, v.as_mut_bytes())).then_some(v)
    }

    /// The field at offset `off` that the format file calls `__data_loc`: where in
    /// the kernel its data is, and how many bytes.
    #[inline(always)]
    pub fn dynamic(&self, off: usize) -> Option<(KernelPtr, usize)> {
        let loc = self.field::<u32>(off)?;
        let base = KernelPtr::new(self.address());
        Some((base.offset(i64::from(loc & 0xffff)), (loc >> 16) as usize))
    }

    /// The record, of a type made by [`kernel_struct!`](crate::kernel_struct) for the
    /// tracepoint that the program is attached to.
    ///
    /// ```
    /// use iu::prelude::*;
    /// use iu::kernel_struct;
    ///
    /// kernel_struct! {
    ///     tracepoint "sched/sched_switch" as Switch { next_pid: i32 }
    /// }
    ///
    /// #[tracepoint]
    /// fn switched(ctx: TracepointContext) {
    ///     if let Ok(pid) = ctx.record::<Switch>().next_pid() {
    ///         iu::debug!("to {pid}");
    ///     }
    /// }
    /// # iu::host::set_field("sched/sched_switch", "next_pid", 8, 4);
    /// # iu::host::tracepoint(&7u32.to_ne_bytes(), 12, switched);
    /// # assert_eq!(iu::host::log()[0].1, "to 7");
    /// ```
    #[inline]
    pub fn record<T: kernel::Type>(&self) -> T {
        const { assert!(kernel::is_event(T::NAME), "a record is of a `tracepoint`") };
        T::at(kernel::Ptr::new(self.address()))
    }

    /// Where the record is in the kernel: it stands in the place of the common fields.
    fn address(&self) -> u64 {
        let mut at = [0; COMMON];
        self.raw.copy(0, &mut at);
        u64::from_ne_bytes(at)
    }
}
