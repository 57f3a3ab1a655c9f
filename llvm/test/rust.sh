#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# rust.sh FILE.rs OUT: the road of README.md for one crate without dependencies:
# OUT.linked.bc, OUT.bc, OUT.json, OUT.o. Needs core as bitcode: in
# $IU_SYSROOT, else built once (half a minute) into build/llvm.
set -eu
RUSTC=${RUSTC:-/usr/bin/rustc}
export RUSTC_BOOTSTRAP=1
flags="--edition 2024 --target x86_64-unknown-none -Copt-level=2 -Cdebuginfo=1 -Cpanic=abort
 -Crelocation-model=static -Ccode-model=kernel -Cforce-unwind-tables=n -Cjump-tables=n -Clinker-plugin-lto
 -Zcf-protection=branch -Zfunction-return=thunk-extern -Zretpoline-external-thunk"

release=$("$RUSTC" -vV | sed -n 's/^release: //p')
sysroot=${IU_SYSROOT:-../../build/llvm/sysroot-$release}
lib=$sysroot/lib/rustlib/x86_64-unknown-none/lib
if [ ! -e "$lib/libcompiler_builtins.rlib" ]; then
	mkdir -p "$lib"
	src=${RUST_SRC:-/usr/src/rustc-$release/library}
	printf '#![no_std]\n#![feature(compiler_builtins)]\n#![allow(internal_features)]\n#![compiler_builtins]\n' >"$lib/cb.rs"
	"$RUSTC" $flags --cap-lints allow -Ccodegen-units=1 -Zforce-unstable-if-unmarked --crate-name core \
		--crate-type rlib --out-dir "$lib" "$src/core/src/lib.rs"
	"$RUSTC" $flags --cap-lints allow --sysroot "$sysroot" -Zforce-unstable-if-unmarked --crate-name compiler_builtins \
		--crate-type rlib --out-dir "$lib" "$lib/cb.rs"
fi

out=$2
"$RUSTC" $flags --sysroot "$sysroot" --crate-name t --crate-type staticlib -o "$out.a" "$1"
llvm-link "$out.a" -o "$out.linked.bc"
opt --load-pass-plugin="$IU_PLUGIN" -passes="iu-prepare,lto<O2>,iu<name=t;version=1.0.0;report=$out.json>" \
	"$out.linked.bc" -o "$out.bc"
$IU_LLC -filetype=obj "$out.bc" -o "$out.full.o"
llvm-objcopy --strip-debug --wildcard --remove-section='.note*' --remove-section=.comment "$out.full.o" "$out.o"
