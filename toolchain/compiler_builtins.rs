// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! Stands in for compiler_builtins, which every crate is linked with: memcpy and
//! its kin are the kernel's, and nothing else of it may be needed.

#![no_std]
#![feature(compiler_builtins)]
#![allow(internal_features)]
#![compiler_builtins]
