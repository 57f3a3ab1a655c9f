; RUN: %iu -passes=iu-term -S %s | FileCheck %s
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

; CHECK: @iu_rt_fuel = external dso_local addrspace(256) global i32, align 4

declare ptr @iu_rt_map_lookup(ptr, ptr)

; A constant bound that is small enough: nothing.
; CHECK-LABEL: define internal i32 @bounded(
; CHECK-NOT: @iu_rt_fuel
; CHECK: ret i32
define internal i32 @bounded(ptr %p) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %n, %loop ]
  %s = phi i32 [ 0, %entry ], [ %t, %loop ]
  %a = getelementptr i32, ptr %p, i64 %i
  %v = load i32, ptr %a
  %t = add i32 %s, %v
  %n = add nuw nsw i64 %i, 1
  %c = icmp eq i64 %n, 64
  br i1 %c, label %done, label %loop
done:
  ret i32 %t
}

; No bound: one poll, at the top of the iteration.
; CHECK-LABEL: define internal i32 @unbounded(
; CHECK: loop:
; CHECK-NEXT: %i = phi
; CHECK-NEXT: %s = phi
; CHECK-NEXT: %[[A:.*]] = load i32, ptr addrspace(256) @iu_rt_fuel
; CHECK-NEXT: %[[B:.*]] = sub i32 %[[A]], 1
; CHECK-NEXT: store i32 %[[B]], ptr addrspace(256) @iu_rt_fuel
; CHECK-NEXT: %[[C:.*]] = icmp slt i32 %[[B]], 0
; CHECK-NEXT: br i1 %[[C]], label %iu.expired, label %[[TAIL:.*]], !prof ![[COLD:.*]]
; CHECK: iu.expired:
; CHECK-NEXT: call preserve_mostcc void @iu_rt_poll()
; CHECK-NEXT: br label %[[TAIL]]
; CHECK: [[TAIL]]:
; CHECK-NEXT: getelementptr
; CHECK: br i1 %c, label %done, label %loop
; CHECK-NOT: @iu_rt_fuel
; CHECK: ret i32
define internal i32 @unbounded(ptr %p, i64 %len) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %n, %loop ]
  %s = phi i32 [ 0, %entry ], [ %t, %loop ]
  %a = getelementptr i32, ptr %p, i64 %i
  %v = load i32, ptr %a
  %t = add i32 %s, %v
  %n = add nuw nsw i64 %i, 1
  %c = icmp eq i64 %n, %len
  br i1 %c, label %done, label %loop
done:
  ret i32 %t
}

; 4096 iterations of one unit fit, 4097 do not.
; CHECK-LABEL: define internal void @just_fits(
; CHECK-NOT: @iu_rt_fuel
; CHECK: ret void
define internal void @just_fits(ptr %p) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %n, %loop ]
  store i64 %i, ptr %p
  %n = add nuw nsw i64 %i, 1
  %c = icmp eq i64 %n, 4096
  br i1 %c, label %done, label %loop
done:
  ret void
}

; CHECK-LABEL: define internal void @just_not(
; CHECK: store i32 %{{.*}}, ptr addrspace(256) @iu_rt_fuel
define internal void @just_not(ptr %p) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %n, %loop ]
  store i64 %i, ptr %p
  %n = add nuw nsw i64 %i, 1
  %c = icmp eq i64 %n, 4097
  br i1 %c, label %done, label %loop
done:
  ret void
}

; 100 x 100 is too much: the inner loop keeps its bound, the outer one polls and
; pays for the whole inner loop at once.
; CHECK-LABEL: define internal void @nest(
; CHECK: outer:
; CHECK: sub i32 %{{.*}}, 101
; CHECK: inner:
; CHECK-NOT: sub i32
; CHECK: br i1 %ci, label %latch, label %inner
; CHECK: ret void
define internal void @nest(ptr %p) {
entry:
  br label %outer
outer:
  %o = phi i64 [ 0, %entry ], [ %no, %latch ]
  br label %inner
inner:
  %i = phi i64 [ 0, %outer ], [ %ni, %inner ]
  store i64 %i, ptr %p
  %ni = add nuw nsw i64 %i, 1
  %ci = icmp eq i64 %ni, 100
  br i1 %ci, label %latch, label %inner
latch:
  %no = add nuw nsw i64 %o, 1
  %co = icmp eq i64 %no, 100
  br i1 %co, label %done, label %outer
done:
  ret void
}

; What a callee costs counts: 100 iterations of @bounded (67 units) are too much,
; and so are 1000 calls of the runtime.
; CHECK-LABEL: define internal void @calls(
; CHECK: store i32 %{{.*}}, ptr addrspace(256) @iu_rt_fuel
define internal void @calls(ptr %p) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %n, %loop ]
  %r = call i32 @bounded(ptr %p)
  %n = add nuw nsw i64 %i, 1
  %c = icmp eq i64 %n, 100
  br i1 %c, label %done, label %loop
done:
  ret void
}

; CHECK-LABEL: define internal void @lookups(
; CHECK: store i32 %{{.*}}, ptr addrspace(256) @iu_rt_fuel
define internal void @lookups(ptr %p) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %n, %loop ]
  %r = call ptr @iu_rt_map_lookup(ptr %p, ptr %p)
  %n = add nuw nsw i64 %i, 1
  %c = icmp eq i64 %n, 1000
  br i1 %c, label %done, label %loop
done:
  ret void
}

; Two latches, and a switch with two edges to the header.
; CHECK-LABEL: define internal void @switched(
; CHECK: store i32 %{{.*}}, ptr addrspace(256) @iu_rt_fuel
; CHECK: ret void
define internal void @switched(ptr %p) {
entry:
  br label %loop
loop:
  %v = phi i32 [ 0, %entry ], [ 1, %loop ], [ 1, %loop ]
  store volatile i32 %v, ptr %p
  %x = load volatile i32, ptr %p
  switch i32 %x, label %done [ i32 1, label %loop
                               i32 2, label %loop ]
done:
  ret void
}

; An endless loop.
; CHECK-LABEL: define internal void @endless(
; CHECK: store i32 %{{.*}}, ptr addrspace(256) @iu_rt_fuel
define internal void @endless() {
entry:
  br label %loop
loop:
  br label %loop
}

; A cycle with two entries is no natural loop.
; CHECK-LABEL: define internal void @irreducible(
; CHECK: store i32 %{{.*}}, ptr addrspace(256) @iu_rt_fuel
; CHECK-NOT: store i32 %{{.*}}, ptr addrspace(256) @iu_rt_fuel
; CHECK: ret void
define internal void @irreducible(ptr %p) {
entry:
  %v = load volatile i1, ptr %p
  br i1 %v, label %a, label %b
a:
  %va = load volatile i1, ptr %p
  br i1 %va, label %b, label %done
b:
  %vb = load volatile i1, ptr %p
  br i1 %vb, label %a, label %done
done:
  ret void
}

; A bounded loop inside such a cycle keeps its bound.
; CHECK-LABEL: define internal void @irreducible_around(
; CHECK: store i32 %{{.*}}, ptr addrspace(256) @iu_rt_fuel
; CHECK-NOT: store i32 %{{.*}}, ptr addrspace(256) @iu_rt_fuel
; CHECK: ret void
define internal void @irreducible_around(ptr %p) {
entry:
  %v = load volatile i1, ptr %p
  br i1 %v, label %a, label %b
a:
  %va = load volatile i1, ptr %p
  br i1 %va, label %b, label %done
b:
  br label %loop
loop:
  %i = phi i64 [ 0, %b ], [ %n, %loop ]
  store volatile i64 %i, ptr %p
  %n = add nuw nsw i64 %i, 1
  %c = icmp eq i64 %n, 8
  br i1 %c, label %after, label %loop
after:
  %vb = load volatile i1, ptr %p
  br i1 %vb, label %a, label %done
done:
  ret void
}

; Recursion polls at the entry, once per function of the cycle; allocas stay in
; the entry block.
; CHECK-LABEL: define internal i32 @even(
; CHECK-NEXT: %x = alloca i32
; CHECK-NEXT: %y = alloca i32
; CHECK-NEXT: load i32, ptr addrspace(256) @iu_rt_fuel
define internal i32 @even(i32 %n) {
  %x = alloca i32
  store i32 %n, ptr %x
  %y = alloca i32
  store i32 %n, ptr %y
  %m = sub i32 %n, 1
  %c = icmp eq i32 %n, 0
  br i1 %c, label %yes, label %more
more:
  %r = call i32 @odd(i32 %m)
  ret i32 %r
yes:
  ret i32 1
}
; CHECK-LABEL: define internal i32 @odd(
; CHECK-NEXT: load i32, ptr addrspace(256) @iu_rt_fuel
define internal i32 @odd(i32 %n) {
  %m = sub i32 %n, 1
  %r = call i32 @even(i32 %m)
  ret i32 %r
}

; Recursion through a function pointer: @through may call itself again.
; CHECK-LABEL: define internal void @through(
; CHECK-NEXT: load i32, ptr addrspace(256) @iu_rt_fuel
define internal void @through(ptr %f) {
  call void %f(ptr @through)
  ret void
}

; No loop and no recursion, but 8 times the work at each step.
; CHECK-LABEL: define internal void @zero(
; CHECK-NOT: @iu_rt_fuel
; CHECK-LABEL: define internal void @six(
; CHECK-NOT: @iu_rt_fuel
; CHECK-LABEL: define internal void @twelve(
; CHECK-NOT: @iu_rt_fuel
; CHECK-LABEL: define internal void @fifteen(
; CHECK: load i32, ptr addrspace(256) @iu_rt_fuel
; CHECK: sub i32 %{{.*}}, {{[0-9][0-9][0-9][0-9][0-9]}}
define internal void @zero(ptr %p) {
  store volatile i32 1, ptr %p
  ret void
}
define internal void @three(ptr %p) {
  call void @zero(ptr %p)
  call void @zero(ptr %p)
  call void @zero(ptr %p)
  call void @zero(ptr %p)
  call void @zero(ptr %p)
  call void @zero(ptr %p)
  call void @zero(ptr %p)
  call void @zero(ptr %p)
  ret void
}
define internal void @six(ptr %p) {
  call void @three(ptr %p)
  call void @three(ptr %p)
  call void @three(ptr %p)
  call void @three(ptr %p)
  call void @three(ptr %p)
  call void @three(ptr %p)
  call void @three(ptr %p)
  call void @three(ptr %p)
  ret void
}
define internal void @nine(ptr %p) {
  call void @six(ptr %p)
  call void @six(ptr %p)
  call void @six(ptr %p)
  call void @six(ptr %p)
  call void @six(ptr %p)
  call void @six(ptr %p)
  call void @six(ptr %p)
  call void @six(ptr %p)
  ret void
}
define internal void @twelve(ptr %p) {
  call void @nine(ptr %p)
  call void @nine(ptr %p)
  call void @nine(ptr %p)
  call void @nine(ptr %p)
  call void @nine(ptr %p)
  call void @nine(ptr %p)
  call void @nine(ptr %p)
  call void @nine(ptr %p)
  ret void
}
define internal void @fifteen(ptr %p) {
  call void @twelve(ptr %p)
  call void @twelve(ptr %p)
  call void @twelve(ptr %p)
  call void @twelve(ptr %p)
  call void @twelve(ptr %p)
  call void @twelve(ptr %p)
  call void @twelve(ptr %p)
  call void @twelve(ptr %p)
  ret void
}

; CHECK: ![[COLD]] = !{!"branch_weights", i32 1, i32 1048576}
