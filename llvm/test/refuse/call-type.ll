; RUN: not %iu -passes='iu-audit' -disable-output %s 2>&1 | FileCheck %s
; CHECK: error: iu: call: call of 'g' with another type (in f)
; CHECK-NOT: Stack dump
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

define internal i32 @g(i32 %a, i32 %b) {
  ret i32 %b
}
define internal i32 @f(i32 %a) {
  %r = call i32 @g(i32 %a)
  ret i32 %r
}
