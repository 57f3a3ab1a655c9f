; RUN: not %iu -passes='iu-audit' -disable-output %s 2>&1 | FileCheck %s
; CHECK: unknown intrinsic 'llvm.readcyclecounter' (in f)
; CHECK: unknown intrinsic 'llvm.trap' (in f)
; CHECK: unknown intrinsic 'llvm.read_register.i64' (in g)
; CHECK-NOT: Stack dump
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

define internal i64 @f() {
  %t = call i64 @llvm.readcyclecounter()
  call void @llvm.trap()
  ret i64 %t
}
define internal i64 @g() {
  %t = call i64 @llvm.read_register.i64(metadata !0)
  ret i64 %t
}
declare i64 @llvm.readcyclecounter()
declare i64 @llvm.read_register.i64(metadata)
declare void @llvm.trap()
!0 = !{!"rsp"}
