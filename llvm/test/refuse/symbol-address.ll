; A pointer to the runtime would be a call that the call graph does not have.
; RUN: not %iu -passes='iu-audit' -disable-output %s 2>&1 | FileCheck %s
; CHECK: error: iu: symbol: address of 'iu_rt_lock' taken in the value of static 'table'
; CHECK: error: iu: symbol: address of 'iu_rt_lock' taken (in f)
; CHECK-NOT: Stack dump
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

declare void @iu_rt_lock(ptr)
@table = internal constant [1 x ptr] [ptr @iu_rt_lock]
define internal void @f(ptr %p) {
  store ptr @iu_rt_lock, ptr %p
  ret void
}
