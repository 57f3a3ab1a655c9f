; The author's code cannot refill the fuel.
; RUN: not %iu -passes='iu-audit' -disable-output %s 2>&1 | FileCheck %s
; CHECK: error: iu: symbol: reference to 'iu_rt_fuel'
; CHECK: error: iu: type: pointer into another address space (in f)
; CHECK-NOT: Stack dump
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

@iu_rt_fuel = external addrspace(256) global i32
define internal void @f() {
  store i32 1000000, ptr addrspace(256) @iu_rt_fuel
  ret void
}
