; RUN: not %iu -passes='iu-audit' -disable-output %s 2>&1 | FileCheck %s
; CHECK: static 'a' is in unknown section '.init.data'
; CHECK: static 'b' is in unknown section '.data..percpu'
; CHECK: static 'c' is in unknown section '.modinfo'
; CHECK: static 'd' is in section '.iu.prog', which only the toolchain fills
; CHECK: function is in unknown section '.init.text' (in f)
; CHECK-NOT: Stack dump
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

@a = internal global i32 0, section ".init.data"
@b = internal global i32 0, section ".data..percpu"
@c = internal constant i32 0, section ".modinfo"
@d = internal constant i32 0, section ".iu.prog"
define internal void @f() section ".init.text" {
  ret void
}
