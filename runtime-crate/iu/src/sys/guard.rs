// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! What a program holds beside locks and reservations.

use core::marker::PhantomData;
use core::mem::{align_of, size_of};
use core::ptr::NonNull;

use super::rt;
use crate::Errno;

/// Not to be sent or shared: it belongs to this run on this CPU.
type Here = PhantomData<*mut ()>;

pub(crate) struct IrqsOff(Here);

impl IrqsOff {
    #[inline(always)]
    pub(crate) fn new() -> IrqsOff {
        // SAFETY: given back once, in `drop`, or by the runtime.
        unsafe { rt::iu_rt_irq_off() };
        IrqsOff(PhantomData)
    }
}

impl Drop for IrqsOff {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: taken in `new`.
        unsafe { rt::iu_rt_irq_on() };
    }
}

pub(crate) struct Rcu(Here);

impl Rcu {
    #[inline(always)]
    pub(crate) fn new() -> Rcu {
        // SAFETY: given back once, in `drop`, or by the runtime.
        unsafe { rt::iu_rt_rcu_lock() };
        Rcu(PhantomData)
    }
}

impl Drop for Rcu {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: taken in `new`.
        unsafe { rt::iu_rt_rcu_unlock() };
    }
}

/// Copies plain data from an address of the kernel.
#[inline]
pub(crate) fn read_kernel(to: &mut [u8], from: u64) -> Result<(), Errno> {
    let len = u32::try_from(to.len()).map_err(|_| Errno::TOO_BIG)?;
    // SAFETY: `to` holds len bytes; the runtime copes with any address.
    Errno::check(unsafe { rt::iu_rt_read_kernel(to.as_mut_ptr(), from, len) })
}

/// Copies plain data from an address of the current task.
#[inline]
pub(crate) fn read_user(to: &mut [u8], from: u64) -> Result<(), Errno> {
    let len = u32::try_from(to.len()).map_err(|_| Errno::TOO_BIG)?;
    // SAFETY: as above.
    Errno::check(unsafe { rt::iu_rt_read_user(to.as_mut_ptr(), from, len) })
}

/// Memory that a run has to itself, of a pool.
pub(crate) struct Region<'a> {
    word: NonNull<u32>,
    base: NonNull<u8>,
    size: usize,
    _pool: PhantomData<(&'a (), *mut ())>,
}

impl<'a> Region<'a> {
    /// # Safety
    /// `words` are `n` words that nothing else writes; `base` are `n` regions of `size`
    /// bytes that are reached through a `Region` only. Both live for `'a`.
    #[inline]
    pub(crate) unsafe fn take(
        words: NonNull<u32>,
        base: NonNull<u8>,
        n: u32,
        size: usize,
    ) -> Result<Region<'a>, Errno> {
        // SAFETY: n words, says the caller.
        let i = unsafe { rt::iu_rt_pool_take(words.as_ptr(), n) };
        if i >= u64::from(n) {
            return Err(Errno::check(i).err().unwrap_or(Errno::NOMEM));
        }
        // SAFETY: i < n; region and word are this run's until the word is given back.
        unsafe {
            let (word, base) = (words.add(i as usize), base.add(i as usize * size));
            Ok(Region { word, base, size, _pool: PhantomData })
        }
    }

    /// Room for `n` values beyond `used` bytes: its address, and how much is used then.
    #[inline]
    pub(crate) fn carve<T>(&self, used: usize, n: usize) -> Option<(NonNull<T>, usize)> {
        let from = used.checked_next_multiple_of(align_of::<T>())?;
        let to = from.checked_add(size_of::<T>().checked_mul(n)?)?;
        if to > self.size {
            return None;
        }
        // SAFETY: from <= to <= size; the base is aligned to 16, which no T exceeds.
        const { assert!(align_of::<T>() <= 16, "what an arena holds is aligned to 16 at most") };
        // SAFETY: as above.
        Some((unsafe { self.base.add(from) }.cast(), to))
    }
}

impl Drop for Region<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: taken in `take`.
        unsafe { rt::iu_rt_pool_give(self.word.as_ptr()) };
    }
}
