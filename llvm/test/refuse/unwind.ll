; RUN: not %iu -passes='iu-audit' -disable-output %s 2>&1 | FileCheck %s
; CHECK: error: iu: function: personality, GC, prefix or prologue data is not allowed (in f)
; CHECK: error: iu: unwind: exception handling ('invoke') (in f)
; CHECK: error: iu: unwind: exception handling ('landingpad') (in f)
; CHECK: error: iu: unwind: exception handling ('resume') (in f)
; CHECK-NOT: Stack dump
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

declare i32 @personality(...)
define internal void @g() {
  ret void
}
define internal void @f() personality ptr @personality {
  invoke void @g() to label %ok unwind label %bad
ok:
  ret void
bad:
  %l = landingpad { ptr, i32 } cleanup
  resume { ptr, i32 } %l
}
