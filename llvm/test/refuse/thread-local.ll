; RUN: not %iu -passes='iu-audit' -disable-output %s 2>&1 | FileCheck %s
; CHECK: error: iu: thread-local: thread-local static 't'
; CHECK: error: iu: intrinsic: unknown intrinsic 'llvm.threadlocal.address.p0' (in f)
; CHECK-NOT: Stack dump
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

@t = internal thread_local global i32 0
define internal ptr @f() {
  %p = call ptr @llvm.threadlocal.address.p0(ptr @t)
  ret ptr %p
}
declare ptr @llvm.threadlocal.address.p0(ptr)
