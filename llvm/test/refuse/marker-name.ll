; RUN: not %iu -passes='iu<name=t;version=1.0.0>' -disable-output %s 2>&1 | FileCheck %s
; CHECK: static 'a' in section '.iu.marker' has a name that is not terminated
; CHECK: static 'b' in section '.iu.marker' has no name
; CHECK: static 'c' in section '.iu.marker' has a name with characters other than
; CHECK: static 'd' in section '.iu.marker' is not zero at byte 2
; CHECK-NOT: Stack dump
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

@a = internal constant <{ [40 x i8], ptr, i64 }> <{ [40 x i8] c"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\01\00\00\00\02\00\00\00", ptr @shim, i64 0 }>, section ".iu.marker", align 8
@b = internal constant <{ [40 x i8], ptr, i64 }> <{ [40 x i8] c"\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\02\00\00\00", ptr @shim, i64 0 }>, section ".iu.marker", align 8
@c = internal constant <{ [40 x i8], ptr, i64 }> <{ [40 x i8] c"a\20b\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\02\00\00\00", ptr @shim, i64 0 }>, section ".iu.marker", align 8
@d = internal constant <{ [40 x i8], ptr, i64 }> <{ [40 x i8] c"a\00b\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\02\00\00\00", ptr @shim, i64 0 }>, section ".iu.marker", align 8
define internal i32 @shim(ptr %ctx) {
  ret i32 2
}
