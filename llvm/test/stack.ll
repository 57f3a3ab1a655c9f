; RUN: %iu -passes=iu-stack -S %s | FileCheck %s
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

; Frames that add up: no check, although @root reaches a recursion.
; CHECK-LABEL: define internal i32 @root(
; CHECK-NOT: read_register
; CHECK: ret i32
define internal i32 @root(i32 %n) {
  %r = call i32 @middle(i32 %n)
  ret i32 %r
}

; CHECK-LABEL: define internal i32 @middle(
; CHECK-NOT: read_register
; CHECK: ret i32
define internal i32 @middle(i32 %n) {
  %r = call i32 @recursive(i32 %n)
  ret i32 %r
}

; CHECK-LABEL: define internal i32 @recursive(
; CHECK-NEXT: %x = alloca [64 x i8]
; CHECK-NEXT: %[[SP:.*]] = call i64 @llvm.read_register.i64(metadata ![[RSP:.*]])
; CHECK-NEXT: %[[LEFT:.*]] = and i64 %[[SP]], 32767
; CHECK-NEXT: %[[LOW:.*]] = icmp ult i64 %[[LEFT]], 12288
; CHECK-NEXT: br i1 %[[LOW]], label %iu.overflow, label %{{.*}}, !prof
; CHECK: iu.overflow:
; CHECK-NEXT: call void @iu_rt_stack_overflow()
; CHECK-NEXT: unreachable
define internal i32 @recursive(i32 %n) {
  %x = alloca [64 x i8]
  %m = sub i32 %n, 1
  %a = call i32 @recursive(i32 %m)
  %b = call i32 @leaf(i32 %a)
  %c = call i32 @below(i32 %b)
  ret i32 %c
}

; One frame may lie below a check, so a leaf needs none, but what calls does.
; CHECK-LABEL: define internal i32 @leaf(
; CHECK-NOT: read_register
; CHECK: ret i32
define internal i32 @leaf(i32 %n) {
  %r = mul i32 %n, 3
  ret i32 %r
}

; CHECK-LABEL: define internal i32 @below(
; CHECK: read_register
; CHECK: ret i32
define internal i32 @below(i32 %n) {
  %r = call i32 @leaf(i32 %n)
  ret i32 %r
}

; CHECK-LABEL: define internal i32 @indirect(
; CHECK: read_register
; CHECK: ret i32
define internal i32 @indirect(ptr %f, i32 %n) {
  %r = call i32 %f(i32 %n)
  ret i32 %r
}

; CHECK: ![[RSP]] = !{!"rsp"}
