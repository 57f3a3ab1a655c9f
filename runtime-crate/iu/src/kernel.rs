// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! The kernel's own types, numbers and options, found out when an extension is loaded.
//!
//! One object runs on kernels whose structs are laid out differently: where a member lies,
//! and whether there is one, comes from the kernel's BTF on the machine.
//!
//! ```
//! use iu::prelude::*;
//! use iu::kernel_struct;
//!
//! kernel_struct! {
//!     /// A packet in the network stack.
//!     struct sk_buff {
//!         dev: *net_device,
//!         mark: u32,
//!         tstamp_type?: u8,
//!     }
//!     /// An interface.
//!     struct net_device {
//!         ifindex: i32,
//!         name: [u8; 16],
//!     }
//! }
//!
//! #[tc]
//! fn from_wlan(ctx: TcContext) -> TcAction {
//!     let skb: sk_buff = ctx.kernel();
//!     match skb.dev().and_then(|dev| dev.name()) {
//!         Ok(name) if name.starts_with(b"wlan") => TcAction::Shot,
//!         _ => TcAction::Unspec,
//!     }
//! }
//! # let mut p = iu::host::Packet::new(&[0; 60]);
//! # assert_eq!(p.tc(from_wlan), TcAction::Unspec);
//! ```
//!
//! # Safety
//!
//! A value of such a type is an address, and everything is read through it by a copy that
//! fails, with [`Errno::FAULT`](crate::Errno), where there is no memory. An address that is wrong or
//! out of date, or a layout that is, gives wrong data; it cannot corrupt memory. Nothing
//! is written.

use core::mem::size_of;

use crate::abi::{self, kreloc_flags as flags, kreloc_kind as kind};
use crate::map::Plain;
use crate::sys::kreloc::KRelocCell;
use crate::{Errno, abi::cname, read};

/// An address in the kernel: of what, its type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ptr(u64);

impl Ptr {
    /// The address as a number, such as a probe's argument.
    #[inline(always)]
    pub const fn new(addr: u64) -> Ptr {
        Ptr(addr)
    }

    /// The address as a number.
    #[inline(always)]
    pub const fn addr(self) -> u64 {
        self.0
    }

    /// Whether it is NULL.
    #[inline(always)]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// Copies what is there. [`Errno::FAULT`] if there is no memory.
    /// (`bpf_probe_read_kernel`)
    #[inline]
    pub fn read<T: Plain>(self) -> Result<T, Errno> {
        read::kernel(self.0)
    }

    #[inline(always)]
    fn at(self, offset: u32) -> u64 {
        self.0.wrapping_add(u64::from(offset))
    }
}

/// A type made by [`kernel_struct!`](crate::kernel_struct): an address with accessors.
pub trait Type: Copy {
    /// Its name in C: `struct sk_buff`.
    const NAME: &'static str;

    /// The type at an address. Any will do: see the module's word on safety.
    fn at(ptr: Ptr) -> Self;

    /// Where it is.
    fn ptr(self) -> Ptr;

    /// Whether its address is NULL.
    #[inline(always)]
    fn is_null(self) -> bool {
        self.ptr().is_null()
    }
}

/// Whether a type's name is a tracepoint's: `system/event`.
pub(crate) const fn is_event(name: &str) -> bool {
    let name = name.as_bytes();
    let mut i = 0;
    while i < name.len() {
        if name[i] == b'/' {
            return true;
        }
        i += 1;
    }
    false
}

/// Compares names when a program is compiled.
pub(crate) const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

mod sealed {
    pub trait Sealed {}
}

/// Integers that a member can be read as: `u8` to `u64`, `i8` to `i64`, `bool`. A member
/// may be smaller on some kernel, or a bit field.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an integer that a member can be read as",
    label = "an integer is u8 to u64, i8 to i64 or bool"
)]
pub trait Int: sealed::Sealed + Copy {
    #[doc(hidden)]
    fn from_word(v: u64, width: u32) -> Self;
}

macro_rules! ints {
    ($($unsigned:ident $signed:ident;)*) => {$(
        impl sealed::Sealed for $unsigned {}
        impl Int for $unsigned {
            #[inline(always)]
            fn from_word(v: u64, _: u32) -> $unsigned {
                v as $unsigned
            }
        }
        impl sealed::Sealed for $signed {}
        impl Int for $signed {
            #[inline(always)]
            fn from_word(v: u64, width: u32) -> $signed {
                let unused = 64 - width.clamp(1, 64);
                ((v << unused) as i64 >> unused) as $signed
            }
        }
    )*};
}

ints! { u8 i8; u16 i16; u32 i32; u64 i64; }

impl sealed::Sealed for bool {}
impl Int for bool {
    #[inline(always)]
    fn from_word(v: u64, _: u32) -> bool {
        v != 0
    }
}

/// What the macros make a static of. Not an API.
#[doc(hidden)]
#[repr(transparent)]
pub struct KernelReloc(KRelocCell);

impl KernelReloc {
    const fn make(kind: u32, ty: &str, field: &str, flags: u32, want: usize) -> KernelReloc {
        assert!(want <= 1 << 20, "a member has at most 1 MiB");
        KernelReloc(KRelocCell::new(abi::KReloc {
            type_name: cname(ty),
            field: cname(field),
            kind,
            flags,
            want: want as u32,
            exists: 0,
            offset: 0,
            size: 0,
            bits: 0,
            reserved: 0,
            value: 0,
        }))
    }

    const fn member(trace: bool) -> u32 {
        if trace { kind::TRACE } else { kind::FIELD }
    }

    const fn optional(optional: bool) -> u32 {
        if optional { flags::OPTIONAL } else { 0 }
    }

    pub const fn int<T: Int>(trace: bool, ty: &str, field: &str, optional: bool) -> KernelReloc {
        Self::make(
            Self::member(trace),
            ty,
            field,
            flags::INT | Self::optional(optional),
            size_of::<T>(),
        )
    }

    pub const fn plain<T: Plain>(
        trace: bool,
        ty: &str,
        field: &str,
        optional: bool,
    ) -> KernelReloc {
        Self::make(Self::member(trace), ty, field, Self::optional(optional), size_of::<T>())
    }

    pub const fn pointer(trace: bool, ty: &str, field: &str, optional: bool) -> KernelReloc {
        Self::make(Self::member(trace), ty, field, flags::PTR | Self::optional(optional), 8)
    }

    pub const fn inside(trace: bool, ty: &str, field: &str, optional: bool) -> KernelReloc {
        Self::make(Self::member(trace), ty, field, flags::INSIDE | Self::optional(optional), 0)
    }

    pub const fn size(ty: &str, optional: bool) -> KernelReloc {
        Self::make(kind::SIZE, ty, "", Self::optional(optional), 0)
    }

    pub const fn enumerator(ty: &str, name: &str, optional: bool) -> KernelReloc {
        Self::make(kind::ENUM, ty, name, Self::optional(optional), 0)
    }

    pub const fn config(symbol: &str) -> KernelReloc {
        Self::make(kind::CONFIG, symbol, "", flags::OPTIONAL, 0)
    }

    #[inline(always)]
    pub fn exists(&self) -> bool {
        self.0.resolved().exists
    }

    #[inline(always)]
    pub fn number(&self) -> Option<u64> {
        let r = self.0.resolved();
        r.exists.then_some(r.value)
    }

    #[inline]
    pub fn read_int<T: Int>(&self, base: Ptr) -> Result<T, Errno> {
        let r = self.0.resolved();
        let mut word = [0u8; 8];
        let size = (r.size as usize).min(8);
        read::read_kernel(&mut word[..size], base.at(r.offset))?;
        let v = u64::from_le_bytes(word);
        let (first, width) = match r.bits {
            0 => (0, 8 * r.size.min(8)),
            bits => (bits & 63, bits >> 8),
        };
        let mask = u64::MAX >> (64 - width.clamp(1, 64));
        Ok(T::from_word((v >> first) & mask, width))
    }

    #[inline]
    pub fn read_plain<T: Plain>(&self, base: Ptr) -> Result<T, Errno> {
        read::kernel(base.at(self.0.resolved().offset))
    }

    #[inline]
    pub fn read_pointer<T: Type>(&self, base: Ptr) -> Result<T, Errno> {
        let addr = read::kernel(base.at(self.0.resolved().offset))?;
        Ok(T::at(Ptr(addr)))
    }

    #[inline(always)]
    pub fn address<T: Type>(&self, base: Ptr) -> T {
        T::at(Ptr(base.at(self.0.resolved().offset)))
    }
}
