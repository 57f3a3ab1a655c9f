; RUN: not %iu -passes='iu<name=t;version=1.0.0>' -disable-output %s 2>&1 | FileCheck %s
; CHECK: static 'x' in section '.iu.param' has a default outside its range
; CHECK: static 'y' in section '.iu.param' has unknown type 9
; CHECK: two parameters are named 'z'
; CHECK-NOT: Stack dump
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

@a = internal constant <{ [40 x i8], ptr, i64 }> <{ [40 x i8] c"p\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\02\00\00\00", ptr @shim, i64 0 }>, section ".iu.marker", align 8
@x = internal global [64 x i8] c"x\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\02\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00\0A\00\00\00\00\00\00\00\0B\00\00\00\00\00\00\00", section ".iu.param", align 8
@y = internal global [64 x i8] c"y\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\09\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00", section ".iu.param", align 8
@z = internal global [64 x i8] c"z\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\03\00\00\00\00\00\00\00\FB\FF\FF\FF\FF\FF\FF\FF\05\00\00\00\00\00\00\00\FF\FF\FF\FF\FF\FF\FF\FF", section ".iu.param", align 8
@z2 = internal global [64 x i8] c"z\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\02\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00", section ".iu.param", align 8
define internal i32 @shim(ptr %ctx) {
  ret i32 2
}
