; RUN: not %iu -passes='iu-audit' -disable-output %s 2>&1 | FileCheck %s
; CHECK: error: iu: float: floating point in a signature (in f)
; CHECK: error: iu: float: floating point (in f)
; CHECK: error: iu: float: floating point (in g)
; CHECK-NOT: Stack dump
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

define internal double @f(double %a) {
  %b = fadd double %a, 1.0
  ret double %b
}
define internal i32 @g(ptr %p) {
  %a = load float, ptr %p
  %b = fptoui float %a to i32
  ret i32 %b
}
