; RUN: not %iu -passes='iu-audit' -disable-output %s 2>&1 | FileCheck %s
; CHECK: error: iu: frame: 4128 bytes of local variables, at most 4096 fit a frame (the largest has 4064) (in f)
; CHECK-NOT: Stack dump
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

define internal void @f(ptr %p) {
  %small = alloca [64 x i8]
  %large = alloca [4064 x i8]
  call void @g(ptr %small, ptr %large)
  ret void
}
define internal void @g(ptr %a, ptr %b) {
  ret void
}
