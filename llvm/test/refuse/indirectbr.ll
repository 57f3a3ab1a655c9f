; RUN: not %iu -passes='iu-audit' -disable-output %s 2>&1 | FileCheck %s
; CHECK: error: iu: symbol: address of a label in the value of static 't'
; CHECK: error: iu: indirect-branch: 'indirectbr' is not allowed (in f)
; CHECK-NOT: Stack dump
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

define internal void @f(i64 %i) {
  %s = getelementptr [2 x ptr], ptr @t, i64 0, i64 %i
  %t = load ptr, ptr %s
  indirectbr ptr %t, [label %a, label %b]
a:
  ret void
b:
  ret void
}
@t = internal constant [2 x ptr] [ptr blockaddress(@f, %a), ptr blockaddress(@f, %b)]
