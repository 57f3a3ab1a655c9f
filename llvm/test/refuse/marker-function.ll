; RUN: not %iu -passes='iu<name=t;version=1.0.0>' -disable-output %s 2>&1 | FileCheck %s
; CHECK: static 'a' in section '.iu.marker' does not name a function at byte 40
; CHECK-NOT: Stack dump
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

@a = internal constant [56 x i8] c"p\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\02\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00", section ".iu.marker", align 8
@b = internal constant <{ [40 x i8], ptr, i64 }> <{ [40 x i8] c"q\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\02\00\00\00", ptr @wrong, i64 0 }>, section ".iu.marker", align 8
define internal i32 @shim(ptr %ctx) {
  ret i32 2
}
define internal i32 @wrong(i32 %x) {
  ret i32 1
}
