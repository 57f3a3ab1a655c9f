; RUN: not %iu -passes='iu-audit' -disable-output %s 2>&1 | FileCheck %s
; CHECK: error: iu: symbol: only the toolchain may call 'iu_rt_poll' (in f)
; CHECK-NOT: Stack dump
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

declare void @iu_rt_poll()
define internal void @f() {
  call void @iu_rt_poll()
  ret void
}
