; Every finding is reported, not only the first.
; RUN: not %iu -passes='iu-audit' -disable-output %s 2>&1 | FileCheck %s
; CHECK: error: iu: inline-asm: {{.*}} (in f)
; CHECK: error: iu: alloca: {{.*}} (in g)
; CHECK-NOT: Stack dump
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

define internal void @f() {
  call void asm sideeffect "cli", ""()
  ret void
}
define internal void @g(i64 %n) {
  %a = alloca i8, i64 %n
  ret void
}
