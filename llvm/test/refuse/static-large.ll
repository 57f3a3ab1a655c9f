; RUN: not %iu -passes='iu<name=t;version=1.0.0>' -disable-output %s 2>&1 | FileCheck %s
; CHECK: static: static 'large' has 2097153 bytes, at most 2097152 are allowed
; CHECK-NOT: static 'fits'
; CHECK-NOT: Stack dump
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

@a = internal constant <{ [40 x i8], ptr }> <{ [40 x i8] c"p\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\02\00\00\00", ptr @shim }>, section ".iu.marker", align 8
@large = internal global [2097153 x i8] zeroinitializer
@fits = internal global [2097152 x i8] zeroinitializer
define internal i32 @shim(ptr %ctx) {
  %a = load volatile i8, ptr @large
  %b = load volatile i8, ptr @fits
  ret i32 2
}
