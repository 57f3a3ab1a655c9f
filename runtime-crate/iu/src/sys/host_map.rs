// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Maps in user space: the kernel's, as far as a program can tell.

use std::boxed::Box;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ptr::NonNull;
use std::slice;
use std::vec::Vec;

use super::host::{CPU, CPUS, fail, lock, world};
use super::host_held::{self, Thing};
use crate::Errno;
use crate::abi::{self, call, map_type, update};

/// A value's memory: never moved or freed while the world lives, since a program
/// may hold its address. Not a `Box`, whose move says that nobody else does.
pub(crate) struct Value(NonNull<[u64]>);

// SAFETY: only the address is used; access is as racy as it is in the kernel, by
// volatile copies, atomics or under the value's lock.
unsafe impl Send for Value {}

impl Value {
    fn new(size: u32) -> Value {
        let words: Box<[u64]> = std::vec![0; size.div_ceil(8) as usize].into();
        Value(NonNull::from(Box::leak(words)))
    }

    fn ptr(&self) -> *mut u8 {
        self.0.as_ptr().cast()
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: leaked by `new`, and dropped once.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// The values of one key, of one CPU or of all.
type Values = Vec<Value>;

/// One map.
pub(crate) enum Store {
    /// All values of all CPUs: index + cpu * max_entries.
    Array(Vec<Value>),
    Hash {
        live: HashMap<Vec<u8>, Values>,
        /// Keys by when they were last used, for the LRU forms.
        used: VecDeque<Vec<u8>>,
        dead: Vec<Values>,
    },
    /// By prefix: the length, then the bytes, those beyond it zero.
    Lpm {
        live: BTreeMap<(u32, Vec<u8>), Value>,
        dead: Vec<Value>,
    },
    Queue(VecDeque<Vec<u8>>),
    Bloom(HashSet<Vec<u8>>),
    Records {
        /// Finished ones, with the CPU that wrote them.
        done: Vec<(u32, Vec<u8>)>,
        reserved: HashMap<usize, (Value, usize)>,
        used: usize,
    },
    /// What user space has set.
    Targets(HashMap<u32, u32>),
    Stacks,
}

fn per_cpu(t: u32) -> bool {
    matches!(t, map_type::PERCPU_ARRAY | map_type::PERCPU_HASH | map_type::LRU_PERCPU_HASH)
}

fn lru(t: u32) -> bool {
    matches!(t, map_type::LRU_HASH | map_type::LRU_PERCPU_HASH)
}

impl Store {
    fn new(desc: &abi::Map) -> Store {
        match desc.map_type {
            map_type::HASH
            | map_type::LRU_HASH
            | map_type::PERCPU_HASH
            | map_type::LRU_PERCPU_HASH => {
                Store::Hash { live: HashMap::new(), used: VecDeque::new(), dead: Vec::new() }
            }
            map_type::LPM_TRIE => Store::Lpm { live: BTreeMap::new(), dead: Vec::new() },
            map_type::QUEUE | map_type::STACK => Store::Queue(VecDeque::new()),
            map_type::BLOOM_FILTER => Store::Bloom(HashSet::new()),
            map_type::RINGBUF | map_type::PERF_EVENT_ARRAY => {
                Store::Records { done: Vec::new(), reserved: HashMap::new(), used: 0 }
            }
            map_type::DEVMAP | map_type::DEVMAP_HASH | map_type::CPUMAP => {
                Store::Targets(HashMap::new())
            }
            map_type::STACK_TRACE => Store::Stacks,
            t => {
                let n = entries(desc) * if per_cpu(t) { CPUS } else { 1 };
                Store::Array((0..n).map(|_| Value::new(desc.value_size)).collect())
            }
        }
    }
}

/// Runs `f` on the storage behind a descriptor, made at the first use.
unsafe fn with_store<T>(map: *mut abi::Map, f: impl FnOnce(&abi::Map, &mut Store) -> T) -> T {
    // SAFETY: a live descriptor, which nothing writes in user space.
    let desc = unsafe { &*map };
    let world = world();
    let mut maps = lock(&world.maps);
    f(desc, maps.entry(map as usize).or_insert_with(|| Store::new(desc)))
}

unsafe fn bytes<'a>(at: *const u8, n: u32) -> &'a [u8] {
    // SAFETY: the caller's key or value has the map's size.
    unsafe { slice::from_raw_parts(at, n as usize) }
}

/// Prefix length and bytes of a key of a trie.
fn prefix(desc: &abi::Map, key: &[u8]) -> Option<(u32, Vec<u8>)> {
    let (len, data) = key.split_first_chunk::<4>()?;
    let len = u32::from_ne_bytes(*len);
    (len <= (desc.key_size - 4) * 8).then(|| (len, cut(data, len)))
}

/// The first `len` bits; the others zero.
fn cut(data: &[u8], len: u32) -> Vec<u8> {
    let mut out = data.to_vec();
    for (i, b) in out.iter_mut().enumerate() {
        let bits = len.saturating_sub(i as u32 * 8).min(8);
        *b &= !(0xffu32 >> bits) as u8;
    }
    out
}

pub(crate) unsafe fn iu_rt_map_lookup(map: *mut abi::Map, key: *const u8) -> *mut u8 {
    // SAFETY: passed on from the caller.
    unsafe {
        with_store(map, |desc, store| {
            let key = bytes(key, desc.key_size);
            match store {
                Store::Array(values) => index(desc, key).map(|i| values[i].ptr()),
                Store::Hash { live, used, .. } => live.get(key).map(|v| {
                    if lru(desc.map_type) {
                        used.retain(|k| k != key);
                        used.push_back(key.to_vec());
                    }
                    v[if per_cpu(desc.map_type) { CPU.get() as usize } else { 0 }].ptr()
                }),
                Store::Lpm { live, .. } => prefix(desc, key).and_then(|(len, data)| {
                    (0..=len).rev().find_map(|n| live.get(&(n, cut(&data, n))).map(Value::ptr))
                }),
                _ => panic!("this map is not looked up"),
            }
            .unwrap_or(std::ptr::null_mut())
        })
    }
}

/// Values of an array. Where it is for the installation to say how many, it is not asked for the most.
fn entries(desc: &abi::Map) -> u32 {
    const SIZED: u32 = 4096;
    if desc.role == abi::map_role::SIZED { desc.max_entries.min(SIZED) } else { desc.max_entries }
}

/// Place of an array's value; a per-CPU array gives this CPU's.
fn index(desc: &abi::Map, key: &[u8]) -> Option<usize> {
    let i = u32::from_ne_bytes(key.try_into().ok()?);
    let cpu = if per_cpu(desc.map_type) { CPU.get() } else { 0 };
    let n = entries(desc);
    (i < n).then_some((cpu * n + i) as usize)
}

pub(crate) unsafe fn iu_rt_map_update(
    map: *mut abi::Map,
    key: *const u8,
    value: *const u8,
    flags: u64,
) -> u64 {
    // SAFETY: passed on from the caller.
    unsafe {
        with_store(map, |desc, store| {
            let dst = match place(desc, store, bytes(key, desc.key_size), flags) {
                Ok(dst) => dst,
                Err(e) => return fail(e),
            };
            dst.copy_from_nonoverlapping(value, desc.value_size as usize);
            0
        })
    }
}

/// Where a new value goes. Never where an old one is: readers hold its address, and in
/// the kernel too they see the old value or the new one.
fn place(desc: &abi::Map, store: &mut Store, key: &[u8], flags: u64) -> Result<*mut u8, Errno> {
    match store {
        Store::Array(values) => match index(desc, key) {
            Some(_) if flags == update::NOEXIST => Err(Errno::EXIST),
            Some(i) => Ok(values[i].ptr()),
            None => Err(Errno::TOO_BIG),
        },
        Store::Hash { live, used, dead } => {
            match (live.contains_key(key), flags) {
                (true, update::NOEXIST) => return Err(Errno::EXIST),
                (false, update::EXIST) => return Err(Errno::NOENT),
                (false, _) if live.len() >= desc.max_entries as usize => {
                    let oldest = if lru(desc.map_type) { used.pop_front() } else { None };
                    dead.extend(
                        oldest.and_then(|k| live.remove(&k)).map(Some).ok_or(Errno::TOO_BIG)?,
                    );
                }
                _ => (),
            }
            if lru(desc.map_type) {
                used.retain(|k| k != key);
                used.push_back(key.to_vec());
            }
            let percpu = per_cpu(desc.map_type);
            if percpu && let Some(v) = live.get(key) {
                return Ok(v[CPU.get() as usize].ptr());
            }
            let new: Values =
                (0..if percpu { CPUS } else { 1 }).map(|_| Value::new(desc.value_size)).collect();
            let p = new[if percpu { CPU.get() as usize } else { 0 }].ptr();
            dead.extend(live.insert(key.to_vec(), new));
            Ok(p)
        }
        Store::Lpm { live, dead } => {
            let at = prefix(desc, key).ok_or(Errno::INVAL)?;
            match (live.contains_key(&at), flags) {
                (true, update::NOEXIST) => return Err(Errno::EXIST),
                (false, update::EXIST) => return Err(Errno::NOENT),
                (false, _) if live.len() >= desc.max_entries as usize => return Err(Errno::NOSPC),
                _ => (),
            }
            let new = Value::new(desc.value_size);
            let p = new.ptr();
            dead.extend(live.insert(at, new));
            Ok(p)
        }
        _ => Err(Errno::OPNOTSUPP),
    }
}

pub(crate) unsafe fn iu_rt_map_delete(map: *mut abi::Map, key: *const u8) -> u64 {
    // SAFETY: passed on from the caller.
    unsafe {
        with_store(map, |desc, store| {
            let key = bytes(key, desc.key_size);
            let found = match store {
                Store::Hash { live, used, dead } => live.remove(key).map(|v| {
                    used.retain(|k| k != key);
                    dead.push(v);
                }),
                Store::Lpm { live, dead } => match prefix(desc, key) {
                    Some(at) => live.remove(&at).map(|v| dead.push(v)),
                    None => return fail(Errno::INVAL),
                },
                _ => return fail(Errno::INVAL),
            };
            found.map_or(fail(Errno::NOENT), |()| 0)
        })
    }
}

pub(crate) unsafe fn iu_rt_map_push(map: *mut abi::Map, value: *const u8, flags: u64) -> u64 {
    // SAFETY: passed on from the caller.
    unsafe {
        with_store(map, |desc, store| {
            let value = bytes(value, desc.value_size).to_vec();
            match store {
                Store::Queue(q) => {
                    if q.len() >= desc.max_entries as usize {
                        if flags != update::EXIST {
                            return fail(Errno::TOO_BIG);
                        }
                        q.pop_front();
                    }
                    q.push_back(value);
                }
                Store::Bloom(set) => {
                    set.insert(value);
                }
                _ => return fail(Errno::OPNOTSUPP),
            }
            0
        })
    }
}

unsafe fn front(map: *mut abi::Map, value: *mut u8, take: bool) -> u64 {
    // SAFETY: passed on from the caller.
    unsafe {
        with_store(map, |desc, store| {
            let Store::Queue(q) = store else { return fail(Errno::OPNOTSUPP) };
            let newest = desc.map_type == map_type::STACK;
            let found = if newest { q.back() } else { q.front() }.cloned();
            let Some(found) = found else {
                value.write_bytes(0, desc.value_size as usize);
                return fail(Errno::NOENT);
            };
            if take {
                if newest {
                    q.pop_back()
                } else {
                    q.pop_front()
                };
            }
            value.copy_from_nonoverlapping(found.as_ptr(), found.len());
            0
        })
    }
}

pub(crate) unsafe fn iu_rt_map_pop(map: *mut abi::Map, value: *mut u8) -> u64 {
    // SAFETY: passed on from the caller.
    unsafe { front(map, value, true) }
}

pub(crate) unsafe fn iu_rt_map_peek(map: *mut abi::Map, value: *mut u8) -> u64 {
    // SAFETY: passed on from the caller.
    unsafe {
        let known = with_store(map, |desc, store| match store {
            Store::Bloom(set) => Some(set.contains(bytes(value, desc.value_size))),
            _ => None,
        });
        match known {
            Some(known) => {
                if known {
                    0
                } else {
                    fail(Errno::NOENT)
                }
            }
            None => front(map, value, false),
        }
    }
}

pub(crate) unsafe fn iu_rt_map_redirect(map: *mut abi::Map, key: u32, flags: u64) -> u64 {
    // SAFETY: passed on from the caller.
    unsafe {
        with_store(map, |_, store| match store {
            Store::Targets(set) if set.contains_key(&key) => 4,
            _ => flags,
        })
    }
}

/// Bytes that a record takes: a header, and rounded up.
fn room_of(n: usize) -> usize {
    n.next_multiple_of(8) + 8
}

pub(crate) unsafe fn iu_rt_ringbuf_reserve(map: *mut abi::Map, size: u64) -> *mut u8 {
    if !host_held::room() {
        return std::ptr::null_mut();
    }
    // SAFETY: passed on from the caller.
    unsafe {
        with_store(map, |desc, store| {
            let Store::Records { reserved, used, .. } = store else {
                return std::ptr::null_mut();
            };
            let need = room_of(size as usize);
            if *used + need > desc.max_entries as usize {
                return std::ptr::null_mut();
            }
            *used += need;
            let value = Value::new(size as u32 + 8);
            let p = value.ptr();
            reserved.insert(p as usize, (value, size as usize));
            host_held::add(Thing::Sample(p));
            p
        })
    }
}

/// Ends a reservation, of whatever map of the world.
fn end(at: *mut u8, keep: bool) {
    let world = world();
    let mut maps = lock(&world.maps);
    for store in maps.values_mut() {
        if let Store::Records { done, reserved, used } = store
            && let Some((value, n)) = reserved.remove(&(at as usize))
        {
            if keep {
                // SAFETY: n bytes of the value's memory, written by its one owner.
                done.push((CPU.get(), unsafe { slice::from_raw_parts(value.ptr(), n) }.to_vec()));
            } else {
                *used -= room_of(n);
            }
        }
    }
}

pub(super) fn discard(at: *mut u8) {
    end(at, false);
}

pub(crate) unsafe fn iu_rt_ringbuf_submit(sample: *mut u8, _flags: u64) {
    host_held::remove(Thing::Sample(sample));
    end(sample, true);
}

pub(crate) unsafe fn iu_rt_ringbuf_discard(sample: *mut u8, _flags: u64) {
    host_held::remove(Thing::Sample(sample));
    end(sample, false);
}

pub(crate) unsafe fn iu_rt_ringbuf_output(
    map: *mut abi::Map,
    data: *const u8,
    size: u64,
    _flags: u64,
) -> u64 {
    // SAFETY: passed on from the caller.
    unsafe {
        with_store(map, |desc, store| {
            let Store::Records { done, used, .. } = store else {
                return fail(Errno::OPNOTSUPP);
            };
            let need = room_of(size as usize);
            if *used + need > desc.max_entries as usize {
                return fail(Errno::AGAIN);
            }
            *used += need;
            done.push((CPU.get(), bytes(data, size as u32).to_vec()));
            0
        })
    }
}

pub(crate) unsafe fn iu_rt_perf_output(
    map: *mut abi::Map,
    flags: u64,
    data: *const u8,
    size: u64,
) -> u64 {
    let cpu = if flags == call::CURRENT_CPU { CPU.get() } else { flags as u32 };
    // SAFETY: passed on from the caller.
    unsafe {
        with_store(map, |_, store| {
            let Store::Records { done, .. } = store else { return fail(Errno::OPNOTSUPP) };
            done.push((cpu, bytes(data, size as u32).to_vec()));
            0
        })
    }
}

/// In user space there is no hook to look below.
pub(crate) unsafe fn iu_rt_stack_id(_map: *mut abi::Map, _flags: u64) -> u64 {
    fail(Errno::FAULT)
}

/// Takes the records that a ring buffer or a perf event array has, as user space would.
pub(crate) fn take_records(map: usize) -> Vec<(u32, Vec<u8>)> {
    match lock(&world().maps).get_mut(&map) {
        Some(Store::Records { done, used, .. }) => {
            *used -= done.iter().map(|(_, d)| room_of(d.len())).sum::<usize>().min(*used);
            std::mem::take(done)
        }
        _ => Vec::new(),
    }
}

/// Sets a target of a DEVMAP or its kin, as user space would.
pub(crate) fn set_target(map: usize, key: u32, to: u32) {
    // SAFETY: the address is of a live descriptor: a static's.
    let map = NonNull::new(std::ptr::with_exposed_provenance_mut::<abi::Map>(map)).expect("a map");
    // SAFETY: as above.
    unsafe {
        with_store(map.as_ptr(), |_, store| {
            if let Store::Targets(set) = store {
                set.insert(key, to);
            }
        });
    }
}
