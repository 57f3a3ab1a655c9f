// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Map descriptors, and copying values out of and into maps.
//!
//! Other CPUs and user space may write a value while it is read, as they may for
//! an eBPF program. So a value is never referenced: it is copied word by word
//! with relaxed atomic accesses, and since every bit pattern is a valid [`Plain`] value
//! a torn copy is stale data and nothing worse.

use core::cell::UnsafeCell;
use core::mem::{MaybeUninit, align_of, size_of};
use core::ptr;
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use super::rt;
use crate::map::Plain;
use crate::{Errno, abi};

/// A map's descriptor. The runtime fills it in when the map is bound, before a
/// program may run; the cell keeps the compiler from taking it for constant.
#[repr(transparent)]
pub(crate) struct MapCell(UnsafeCell<abi::Map>);

// SAFETY: nobody writes it while a program can run, and what it points to is
// reached by atomic copies, runtime calls or under a lock.
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
        assert!(size_of::<V>() > 0 && size_of::<K>() > 0, "a map's keys and values are not empty");
        MapCell::sized::<V>(map_type, size_of::<K>(), max_entries, 0)
    }

    /// As [`new`](Self::new), with a key of so many bytes (0: none) and flags.
    pub(crate) const fn sized<V>(
        map_type: u32,
        key_size: usize,
        max_entries: u32,
        map_flags: u32,
    ) -> MapCell {
        assert!(align_of::<V>() <= 8, "a map's values are aligned to 8 bytes at most");
        assert!(max_entries > 0, "a map has room for one element at least");
        assert!(key_size <= MAX_KEY, "the map is too large: a key has at most 512 bytes");
        assert!(size_of::<V>() <= MAX_VALUE, "the map is too large: a value has at most 1 MiB");
        assert!(
            (key_size as u64 + size_of::<V>() as u64) * max_entries as u64 <= MAX_MAP,
            "the map is too large: keys and values have at most 4 GiB"
        );
        MapCell(UnsafeCell::new(abi::Map {
            name: [0; abi::NAME_LEN],
            map_type,
            key_size: key_size as u32,
            value_size: size_of::<V>() as u32,
            max_entries,
            map_flags,
            stride: 0,
            map: ptr::null_mut(),
            data: ptr::null_mut(),
            role: abi::map_role::NONE,
            reserved: 0,
        }))
    }

    /// With a role, see `enum iu_map_role`.
    pub(crate) const fn with_role(self, role: u32) -> MapCell {
        let mut m = self.0.into_inner();
        m.role = role;
        MapCell(UnsafeCell::new(m))
    }

    /// Number of values, of a map whose size is chosen when it is made.
    #[inline(always)]
    pub(crate) fn entries(&self) -> u32 {
        // SAFETY: nobody writes the descriptor while a program can run.
        unsafe { (*self.0.get()).max_entries }
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
    pub(super) fn lookup<K: Plain>(&self, key: &K) -> Option<*mut u8> {
        // SAFETY: a key of the map's type.
        unsafe { self.lookup_raw(ptr::from_ref(key).cast()) }
    }

    /// # Safety
    /// `key` holds a key of the map's key size.
    #[inline(always)]
    unsafe fn lookup_raw(&self, key: *const u8) -> Option<*mut u8> {
        // SAFETY: a bound descriptor; the key is as the caller promises.
        let p = unsafe { rt::iu_rt_map_lookup(self.bound(), key) };
        if p.is_null() { None } else { Some(p) }
    }

    /// The descriptor for a runtime call.
    #[inline(always)]
    pub(super) fn bound(&self) -> *mut abi::Map {
        self.check();
        self.0.get()
    }

    #[cfg(not(target_os = "none"))]
    pub(crate) fn address(&self) -> usize {
        self.0.get().expose_provenance()
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

    #[inline(always)]
    pub(crate) fn contains<K: Plain>(&self, key: &K) -> bool {
        self.lookup(key).is_some()
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
        // SAFETY: a bound descriptor; key and value are of the map's sizes and are copied.
        Errno::check(unsafe {
            rt::iu_rt_map_update(
                self.bound(),
                ptr::from_ref(key).cast(),
                ptr::from_ref(value).cast(),
                flags,
            )
        })
    }

    #[inline(always)]
    pub(crate) fn delete<K: Plain>(&self, key: &K) -> Result<(), Errno> {
        // SAFETY: a bound descriptor; the key is of the map's key size.
        Errno::check(unsafe { rt::iu_rt_map_delete(self.bound(), ptr::from_ref(key).cast()) })
    }

    #[inline]
    pub(crate) fn lpm_get<K: Plain, V: Plain>(&self, key: &LpmKey<K>) -> Option<V> {
        // SAFETY: the key is of the map's size, 4 bytes and a K; the value holds V's.
        unsafe { self.lookup_raw(ptr::from_ref(key).cast()).map(|p| read(p)) }
    }

    #[inline]
    pub(crate) fn lpm_put<K: Plain, V: Plain>(&self, k: &LpmKey<K>, v: &V) -> Result<(), Errno> {
        // SAFETY: a bound descriptor; key and value are of the map's sizes and are copied.
        Errno::check(unsafe {
            rt::iu_rt_map_update(
                self.bound(),
                ptr::from_ref(k).cast(),
                ptr::from_ref(v).cast(),
                abi::update::ANY,
            )
        })
    }

    #[inline]
    pub(crate) fn lpm_delete<K: Plain>(&self, key: &LpmKey<K>) -> Result<(), Errno> {
        // SAFETY: a bound descriptor; the key is of the map's key size.
        Errno::check(unsafe { rt::iu_rt_map_delete(self.bound(), ptr::from_ref(key).cast()) })
    }

    #[inline]
    pub(crate) fn push<V: Plain>(&self, value: &V, flags: u64) -> Result<(), Errno> {
        // SAFETY: a bound descriptor; the value is of the map's size and is copied.
        Errno::check(unsafe {
            rt::iu_rt_map_push(self.bound(), ptr::from_ref(value).cast(), flags)
        })
    }

    #[inline]
    pub(crate) fn pop<V: Plain>(&self) -> Option<V> {
        let mut v = MaybeUninit::<V>::uninit();
        // SAFETY: a bound descriptor; there is room for a value of the map's size, which
        // is written if the call succeeds, and any bytes are a V.
        unsafe {
            Errno::check(rt::iu_rt_map_pop(self.bound(), v.as_mut_ptr().cast())).ok()?;
            Some(v.assume_init())
        }
    }

    #[inline]
    pub(crate) fn peek<V: Plain>(&self) -> Option<V> {
        let mut v = MaybeUninit::<V>::uninit();
        // SAFETY: as for `pop`.
        unsafe {
            Errno::check(rt::iu_rt_map_peek(self.bound(), v.as_mut_ptr().cast())).ok()?;
            Some(v.assume_init())
        }
    }

    /// Of a Bloom filter: whether the value may have been pushed.
    #[inline]
    pub(crate) fn may_contain<V: Plain>(&self, value: &V) -> bool {
        // SAFETY: a bound descriptor; a Bloom filter only reads the value.
        unsafe { rt::iu_rt_map_peek(self.bound(), ptr::from_ref(value).cast_mut().cast()) == 0 }
    }

    #[inline]
    pub(crate) fn redirect(&self, key: u32, flags: u64) -> u64 {
        // SAFETY: a bound descriptor.
        unsafe { rt::iu_rt_map_redirect(self.bound(), key, flags) }
    }

    #[inline]
    pub(crate) fn perf_output(&self, flags: u64, data: &[u8]) -> Result<(), Errno> {
        // SAFETY: a bound descriptor; pointer and length are a slice's, which is copied.
        Errno::check(unsafe {
            rt::iu_rt_perf_output(self.bound(), flags, data.as_ptr(), data.len() as u64)
        })
    }

    #[inline]
    pub(crate) fn stack_id(&self, flags: u64) -> Result<u32, Errno> {
        // SAFETY: a bound descriptor.
        let id = unsafe { rt::iu_rt_stack_id(self.bound(), flags) } as i32;
        if id < 0 {
            Err(Errno::check(id as u64).err().unwrap_or(Errno::INVAL))
        } else {
            Ok(id as u32)
        }
    }
}

/// `struct bpf_lpm_trie_key` and the bytes that follow it.
#[repr(C)]
pub(crate) struct LpmKey<K> {
    pub(crate) prefix_len: u32,
    pub(crate) data: K,
}

/// A value of bytes that `f` writes.
#[inline]
pub(crate) fn fill<V: Plain>(
    mut v: MaybeUninit<V>,
    f: impl FnOnce(&mut [u8]) -> Result<(), Errno>,
) -> Result<V, Errno> {
    let at = v.as_mut_ptr().cast::<u8>();
    // SAFETY: size_of::<V>() bytes, made zero first.
    let bytes = unsafe {
        at.write_bytes(0, size_of::<V>());
        core::slice::from_raw_parts_mut(at, size_of::<V>())
    };
    f(bytes)?;
    // SAFETY: every byte was written, and any bytes are a V (FromBytes).
    Ok(unsafe { v.assume_init() })
}

/// Copies `size_of::<V>()` bytes between a map and memory of the program's own, by
/// relaxed atomics of 8 bytes and a last one of 4, 2 and 1.
macro_rules! copy {
    ($n:expr, $i:ident, $t:ident, $word:ident, $step:expr) => {{
        let n: usize = $n;
        let mut $i = 0;
        macro_rules! step {
            ($atomic:ident, $int:ident, $size:literal) => {{
                type $t = $atomic;
                type $word = $int;
                $step;
                $i += $size;
            }};
        }
        while $i + 8 <= n {
            step!(AtomicU64, u64, 8);
        }
        if n & 4 != 0 {
            step!(AtomicU32, u32, 4);
        }
        if n & 2 != 0 {
            step!(AtomicU16, u16, 2);
        }
        if n & 1 != 0 {
            step!(AtomicU8, u8, 1);
        }
        let _ = $i;
    }};
}

/// # Safety
/// `src` is aligned to 8 bytes and holds `size_of::<V>()` bytes.
#[inline(always)]
unsafe fn read<V: Plain>(src: *mut u8) -> V {
    let mut v = MaybeUninit::<V>::uninit();
    let dst = v.as_mut_ptr().cast::<u8>();
    // SAFETY: both sides have size_of::<V>() bytes, the atomic one is aligned.
    copy!(size_of::<V>(), i, Atomic, Word, unsafe {
        let word = Atomic::from_ptr(src.add(i).cast()).load(Ordering::Relaxed);
        dst.add(i).cast::<Word>().write_unaligned(word);
    });
    // SAFETY: every byte was written, and any bytes are a V (FromBytes).
    unsafe { v.assume_init() }
}

/// # Safety
/// `dst` is aligned to 8 bytes and has room for `size_of::<V>()` bytes.
#[inline(always)]
unsafe fn write<V: Plain>(dst: *mut u8, v: &V) {
    let src = ptr::from_ref(v).cast::<u8>();
    // SAFETY: both sides have size_of::<V>() bytes, the atomic one is aligned.
    copy!(size_of::<V>(), i, Atomic, Word, unsafe {
        let word = src.add(i).cast::<Word>().read_unaligned();
        Atomic::from_ptr(dst.add(i).cast()).store(word, Ordering::Relaxed);
    });
}
