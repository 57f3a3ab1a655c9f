// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
use iu::prelude::*;

struct NotPlain(u32);

#[map]
static A: Array<NotPlain, 1> = Array::new(); //~ `NotPlain` is not plain data

#[map]
static B: Array<bool, 1> = Array::new(); //~ `bool` is not plain data

#[map]
static C: HashMap<u32, &'static u8, 1> = HashMap::new(); //~ `&'static u8` is not plain data

#[map]
static D: LockedArray<Option<u32>, 1> = LockedArray::new(); //~ is not plain data
