; What polls, checks and entries are in machine code.
; RUN: %iu -passes='iu<name=t;version=1.0.0>' %s -o %t.bc
; RUN: %llc %t.bc -o - | FileCheck %s
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

@M = internal constant <{ [40 x i8], ptr, i64 }> <{ [40 x i8] c"p\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\02\00\00\00", ptr @shim, i64 0 }>, section ".iu.marker", align 8
@N = internal constant <{ [40 x i8], ptr, i64 }> <{ [40 x i8] c"q\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\02\00\00\00", ptr @quick, i64 0 }>, section ".iu.marker", align 8
@table = internal constant [2 x ptr] [ptr @f0, ptr @f1]
@llvm.compiler.used = appending global [2 x ptr] [ptr @M, ptr @N], section "llvm.metadata"

; CHECK-NOT: .cfi_
; CHECK-LABEL: iu_entry_p:
; CHECK: endbr64
; CHECK: movl %gs:iu_rt_fuel(%rip), %e[[FUEL:.*]]
; CHECK: movl $4096, %gs:iu_rt_fuel(%rip)
; CHECK: movl %e[[FUEL]], %gs:iu_rt_fuel(%rip)
; CHECK: jmp __x86_return_thunk
define internal i32 @shim(ptr %ctx) {
  %p = load ptr, ptr %ctx
  %n = load i64, ptr %p
  %r = call i32 @count(ptr %p, i64 %n)
  %s = call i32 @deep(i32 %r, ptr %p)
  %i = and i32 %s, 1
  %g = getelementptr [2 x ptr], ptr @table, i64 0, i32 %i
  %f = load ptr, ptr %g
  %t = call i32 %f(i32 %s)
  ret i32 %t
}

; Two instructions per iteration, and the loop's test stays at its bottom.
; CHECK-LABEL: count:
; CHECK: [[TOP:\.LBB.*]]: # %loop
; CHECK: decl %gs:iu_rt_fuel(%rip)
; CHECK-NEXT: js
; CHECK: movzbl
; CHECK-NEXT: addl
; CHECK-NEXT: incq
; CHECK-NEXT: cmpq
; CHECK-NEXT: jne [[TOP]]
; CHECK: callq iu_rt_poll
; CHECK: jmp __x86_return_thunk
define internal i32 @count(ptr %p, i64 %len) noinline {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %n, %loop ]
  %s = phi i32 [ 0, %entry ], [ %t, %loop ]
  %a = getelementptr i8, ptr %p, i64 %i
  %v = load i8, ptr %a
  %w = zext i8 %v to i32
  %t = add i32 %s, %w
  %n = add nuw nsw i64 %i, 1
  %c = icmp eq i64 %n, %len
  br i1 %c, label %done, label %loop
done:
  ret i32 %t
}

; Four instructions, after the frame is made: shrink-wrapping must not move the
; frame behind the check.
; CHECK-LABEL: deep:
; CHECK: subq $512, %rsp
; CHECK: movl %esp, %eax
; CHECK-NEXT: andl $32767, %eax
; CHECK-NEXT: cmpl $12287, %eax
; CHECK-NEXT: jbe
; CHECK: callq iu_rt_stack_overflow
; CHECK-NEXT: ud2
define internal i32 @deep(i32 %n, ptr %p) noinline {
  %c = icmp eq i32 %n, 0
  br i1 %c, label %yes, label %more
more:
  %buf = load ptr, ptr %p
  br label %go
go:
  %r = call i32 @wide(i32 %n, ptr %p)
  ret i32 %r
yes:
  ret i32 1
}
define internal i32 @wide(i32 %n, ptr %p) noinline {
  %x = alloca [512 x i8]
  %c = icmp eq i32 %n, 9
  br i1 %c, label %yes, label %more
more:
  call void @llvm.memcpy.p0.p0.i64(ptr %x, ptr %p, i64 512, i1 false)
  %m = sub i32 %n, 1
  %r = call i32 @deep(i32 %m, ptr %x)
  ret i32 %r
yes:
  ret i32 1
}

; CHECK-LABEL: f0:
; CHECK: endbr64
define internal i32 @f0(i32 %n) {
  ret i32 %n
}
define internal i32 @f1(i32 %n) {
  %r = mul i32 %n, 3
  ret i32 %r
}

; Nothing polls below it: the entry touches no fuel.
; CHECK-LABEL: iu_entry_q:
; CHECK: endbr64
; CHECK-NOT: %gs:
; CHECK: jmp __x86_return_thunk
define internal i32 @quick(ptr %ctx) {
  ret i32 2
}

; CHECK: .section .iu.prog,"a",@progbits
; CHECK: .quad iu_entry_p
; CHECK: .section .iu.info,"a",@progbits

declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
