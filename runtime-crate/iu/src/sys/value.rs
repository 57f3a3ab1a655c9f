// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Map descriptors, and copying values out of and into maps.
//!
//! Other CPUs and user space may write a value while it is read, as they may for
//! an eBPF program. So a value is never referenced: it is copied word by word
//! with volatile accesses, and since every bit pattern is a valid [`Plain`] value
//! a torn copy is stale data and nothing worse.

use core::cell::UnsafeCell;
use core::mem::{MaybeUninit, align_of, size_of};
use core::ptr;

use super::rt;
use crate::map::Plain;
use crate::{Errno, abi};

/// A map's descriptor. The runtime fills it in when the map is bound, before a
/// program may run; the cell keeps the compiler from taking it for constant.
#[repr(transparent)]
pub(crate) struct MapCell(UnsafeCell<abi::Map>);

// SAFETY: nobody writes it while a program can run, and what it points to is
// reached by volatile copies, runtime calls or under a lock.
unsafe impl Sync for MapCell {}

/// Of a key: the kernel's own limit for what it copies to a stack (`MAX_BPF_STACK`).
const MAX_KEY: usize = 512;
/// Of a value, which can be filled or copied between two polls.
const MAX_VALUE: usize = 1 << 20;
/// Of all keys and values: what the kernel's maps count in 32 bits.
const MAX_MAP: u64 = u32::MAX as u64;

impl MapCell {
    /// A descriptor without a name, which stands for "not declared with `#[map]`".
    pub(crate) const fn new<K, V>(map_type: u32, max_entries: u32) -> MapCell {
        assert!(align_of::<V>() <= 8, "a map's values are aligned to 8 bytes at most");
        assert!(size_of::<V>() > 0 && size_of::<K>() > 0, "a map's keys and values are not empty");
        assert!(max_entries > 0, "a map has room for one element at least");
        assert!(size_of::<K>() <= MAX_KEY, "the map is too large: a key has at most 512 bytes");
        assert!(size_of::<V>() <= MAX_VALUE, "the map is too large: a value has at most 1 MiB");
        assert!(
            (size_of::<K>() as u64 + size_of::<V>() as u64) * max_entries as u64 <= MAX_MAP,
            "the map is too large: keys and values have at most 4 GiB"
        );
        MapCell(UnsafeCell::new(abi::Map {
            name: [0; abi::NAME_LEN],
            map_type,
            key_size: size_of::<K>() as u32,
            value_size: size_of::<V>() as u32,
            max_entries,
            map_flags: 0,
            stride: 0,
            map: ptr::null_mut(),
            data: ptr::null_mut(),
            reserved: 0,
        }))
    }

    pub(crate) const fn named(self, name: &str) -> MapCell {
        let mut m = self.0.into_inner();
        m.name = abi::name(name);
        MapCell(UnsafeCell::new(m))
    }

    /// Address of value `i` of an array of `V`s.
    #[inline(always)]
    fn element(&self, i: u32, max_entries: u32) -> Option<*mut u8> {
        if i >= max_entries {
            return None;
        }
        // SAFETY: nobody writes the descriptor while a program can run.
        let (data, stride) = unsafe { ((*self.0.get()).data, (*self.0.get()).stride) };
        if !data.is_null() {
            // SAFETY: the runtime checked that the map has max_entries values, stride apart.
            return Some(unsafe { data.add(i as usize * stride as usize) });
        }
        self.element_by_call(i)
    }

    /// For a runtime that does not say where the values are.
    #[cold]
    #[inline(never)]
    fn element_by_call(&self, i: u32) -> Option<*mut u8> {
        self.lookup(&i)
    }

    #[inline(always)]
    fn lookup<K: Plain>(&self, key: &K) -> Option<*mut u8> {
        self.check();
        // SAFETY: a bound descriptor; the key is of the map's key size.
        let p = unsafe { rt::iu_rt_map_lookup(self.0.get(), ptr::from_ref(key).cast()) };
        if p.is_null() { None } else { Some(p) }
    }

    /// Only what `#[map]` put into `.iu.map` gets bound. The kernel's runtime ends a
    /// program that uses another; here it is said sooner.
    #[inline(always)]
    fn check(&self) {
        #[cfg(not(target_os = "none"))]
        assert!(
            // SAFETY: nobody writes a descriptor in user space.
            unsafe { (*self.0.get()).name[0] != 0 },
            "a map must be a static declared with #[map]"
        );
    }

    #[inline(always)]
    pub(crate) fn get_at<V: Plain>(&self, i: u32, max_entries: u32) -> Option<V> {
        // SAFETY: the pointer is to a value of this map, which holds V's.
        self.element(i, max_entries).map(|p| unsafe { read(p) })
    }

    #[inline(always)]
    pub(crate) fn set_at<V: Plain>(&self, i: u32, max_entries: u32, v: &V) -> Result<(), Errno> {
        let p = self.element(i, max_entries).ok_or(Errno::TOO_BIG)?;
        // SAFETY: the pointer is to a value of this map, which holds V's.
        unsafe { write(p, v) };
        Ok(())
    }

    /// A pointer for what `sys` itself synchronises: locks and atomics.
    #[inline(always)]
    pub(super) fn ptr_at(&self, i: u32, max_entries: u32) -> Option<*mut u8> {
        self.element(i, max_entries)
    }

    #[inline(always)]
    pub(crate) fn get<K: Plain, V: Plain>(&self, key: &K) -> Option<V> {
        // SAFETY: the pointer is to a value of this map, which holds V's.
        self.lookup(key).map(|p| unsafe { read(p) })
    }

    /// Reads, changes and writes back this CPU's value.
    #[inline(always)]
    pub(crate) fn update<K: Plain, V: Plain, F: FnOnce(V) -> V>(&self, key: &K, f: F) -> bool {
        match self.lookup(key) {
            Some(p) => {
                // SAFETY: the pointer is to a value of this map, which holds V's.
                unsafe { write(p, &f(read(p))) };
                true
            }
            None => false,
        }
    }

    #[inline(always)]
    pub(crate) fn put<K: Plain, V: Plain>(
        &self,
        key: &K,
        value: &V,
        flags: u64,
    ) -> Result<(), Errno> {
        self.check();
        // SAFETY: a bound descriptor; key and value are of the map's sizes and are copied.
        Errno::check(unsafe {
            rt::iu_rt_map_update(
                self.0.get(),
                ptr::from_ref(key).cast(),
                ptr::from_ref(value).cast(),
                flags,
            )
        })
    }

    #[inline(always)]
    pub(crate) fn delete<K: Plain>(&self, key: &K) -> Result<(), Errno> {
        self.check();
        // SAFETY: a bound descriptor; the key is of the map's key size.
        Errno::check(unsafe { rt::iu_rt_map_delete(self.0.get(), ptr::from_ref(key).cast()) })
    }
}

/// One volatile copy of `size_of::<V>()` bytes, 8 at a time.
macro_rules! copy {
    ($src:expr, $read:ident, $dst:expr, $write:ident, $n:expr) => {{
        let (src, dst, n): (*const u8, *mut u8, usize) = ($src, $dst, $n);
        let mut i = 0;
        while i + 8 <= n {
            dst.add(i).cast::<u64>().$write(src.add(i).cast::<u64>().$read());
            i += 8;
        }
        if n & 4 != 0 {
            dst.add(i).cast::<u32>().$write(src.add(i).cast::<u32>().$read());
            i += 4;
        }
        if n & 2 != 0 {
            dst.add(i).cast::<u16>().$write(src.add(i).cast::<u16>().$read());
            i += 2;
        }
        if n & 1 != 0 {
            dst.add(i).$write(src.add(i).$read());
        }
    }};
}

/// # Safety
/// `src` is aligned to 8 bytes and holds `size_of::<V>()` bytes.
#[inline(always)]
unsafe fn read<V: Plain>(src: *const u8) -> V {
    let mut v = MaybeUninit::<V>::uninit();
    // SAFETY: both sides have size_of::<V>() bytes, the volatile one is aligned.
    unsafe {
        copy!(src, read_volatile, v.as_mut_ptr().cast::<u8>(), write_unaligned, size_of::<V>())
    };
    // SAFETY: every byte was written, and any bytes are a V (FromBytes).
    unsafe { v.assume_init() }
}

/// # Safety
/// `dst` is aligned to 8 bytes and has room for `size_of::<V>()` bytes.
#[inline(always)]
unsafe fn write<V: Plain>(dst: *mut u8, v: &V) {
    // SAFETY: both sides have size_of::<V>() bytes, the volatile one is aligned.
    unsafe {
        copy!(ptr::from_ref(v).cast::<u8>(), read_unaligned, dst, write_volatile, size_of::<V>())
    }
}
