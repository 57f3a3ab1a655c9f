; RUN: not %iu -passes='iu-audit' -disable-output %s 2>&1 | FileCheck %s
; CHECK: error: iu: varargs: variadic function (in f)
; CHECK: error: iu: varargs: variadic call (in g)
; CHECK: error: iu: varargs: variadic argument (in g)
; CHECK-NOT: Stack dump
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

define internal i32 @f(...) {
  ret i32 1
}
define internal i32 @g(ptr %l) {
  %r = call i32 (...) @f(i32 1)
  %v = va_arg ptr %l, i32
  ret i32 %v
}
