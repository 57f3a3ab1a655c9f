// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
use iu::prelude::*;

#[param(default = 1, min = 2)] //~ the default is not between min and max
static LOW: Param<u16>;

#[param(default = "x")] //~ mismatched types
static TEXT: Param<u16>;

#[param(default = 1)] //~ no associated function //~ `f32` cannot be a parameter
static FLOAT: Param<f32>; //~ `f32` cannot be a parameter

#[param(min = 1)]
static NONE: Param<u16>; //~ a parameter has a `default = …`

#[param(default = 1, maximum = 3)] //~ expected `default`, `min`, `max` or `name`
static KEY: Param<u16>;

#[param(default = 1)] //~ no associated function
static NOT: u16; //~ `u16` is not a parameter
