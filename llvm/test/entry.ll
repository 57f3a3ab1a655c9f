; Programs become entries and tables; every way in which rustc may lower a marker
; is read, and what is also called elsewhere is copied.
; RUN: %iu -passes='iu<name=pkg;version=1.2.0-rc.1+x;report=%t.json>' -S %s | FileCheck %s
; RUN: FileCheck --check-prefix=JSON %s <%t.json
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

; CHECK-NOT: .iu.marker
; CHECK: @CACHE = internal global [80 x i8] c"cache\00
; CHECK-SAME: section ".iu.map"
; CHECK: @iu.prog = internal constant [4 x {
; CHECK-SAME: {{.*}} c"again\00{{.*}} i32 1, i32 0, ptr @iu_entry_again, i32 0, i32 1, i64 0
; CHECK-SAME: {{.*}} c"packed\00{{.*}} i32 2, i32 1, ptr @iu_entry_packed, i32 0, i32 -1, i64 0
; CHECK-SAME: {{.*}} c"shared\00{{.*}} i32 1, i32 3, ptr @iu_entry_shared, i32 0, i32 2, i64 0
; CHECK-SAME: {{.*}} c"struct\00{{.*}} i32 7, i32 0, ptr @iu_entry_struct, i32 0, i32 2, i64 -9223372036854774135
; CHECK-SAME: section ".iu.prog", align 8
; CHECK: @iu.info = internal constant { i32, i16, i16, [64 x i8], [64 x i8], [3 x i64] } { i32 1480938825, i16 1, i16 62,
; CHECK-SAME: c"pkg\00
; CHECK-SAME: c"1.2.0-rc.1+x\00
; CHECK-SAME: section ".iu.info", align 8
; CHECK: @llvm.compiler.used = appending {{.*}} [ptr @CACHE, ptr @iu.prog, ptr @iu.info]

@CACHE = internal global [80 x i8] c"cache\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\02\00\00\00\04\00\00\00\08\00\00\00\10\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00", section ".iu.map", align 8
@packed = internal constant <{ [40 x i8], ptr, i64 }> <{ [40 x i8] c"packed\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\02\00\00\00\FF\FF\FF\FF", ptr @f_packed, i64 0 }>, section ".iu.marker", align 8
@struct = internal constant { [32 x i8], i32, i32, ptr, i64 } { [32 x i8] c"struct\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00", i32 7, i32 2, ptr @f_struct, i64 -9223372036854774135 }, section ".iu.marker", align 8
@pieces = internal constant <{ [6 x i8], [26 x i8], [4 x i8], [4 x i8], ptr, [8 x i8] }> <{ [6 x i8] c"shared", [26 x i8] zeroinitializer, [4 x i8] c"\01\00\00\00", [4 x i8] c"\02\00\00\00", ptr @f_shared, [8 x i8] zeroinitializer }>, section ".iu.marker", align 8
@again = internal constant <{ [40 x i8], ptr, i64 }> <{ [40 x i8] c"again\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\01\00\00\00", ptr @f_struct, i64 0 }>, section ".iu.marker", align 8
@llvm.compiler.used = appending global [5 x ptr] [ptr @packed, ptr @CACHE, ptr @struct, ptr @pieces, ptr @again], section "llvm.metadata"

; Polls: the fuel is set and given back. What was proven about memory is not true
; any more.
; CHECK: define internal i32 @iu_entry_packed(ptr %ctx) #[[A:[0-9]+]]
; CHECK-NEXT: %x = alloca i32
; CHECK-NEXT: %iu.fuel = load i32, ptr addrspace(256) @iu_rt_fuel
; CHECK-NEXT: store i32 4096, ptr addrspace(256) @iu_rt_fuel
; CHECK: store i32 %iu.fuel, ptr addrspace(256) @iu_rt_fuel
; CHECK-NEXT: ret i32 7
; CHECK: store i32 %iu.fuel, ptr addrspace(256) @iu_rt_fuel
; CHECK-NEXT: ret i32 8
define internal i32 @f_packed(ptr %ctx) unnamed_addr #0 {
  %x = alloca i32
  %n = load i32, ptr %ctx
  br label %loop
loop:
  %i = phi i32 [ 0, %0 ], [ %j, %loop ]
  %j = add i32 %i, 1
  store volatile i32 %j, ptr %x
  %c = icmp eq i32 %j, %n
  br i1 %c, label %done, label %loop
done:
  %d = icmp eq i32 %n, 9
  br i1 %d, label %seven, label %eight
seven:
  ret i32 7
eight:
  ret i32 8
}

; CHECK-NOT: @f_struct
define internal i32 @f_struct(ptr %ctx) {
  ret i32 2
}

; The recursion stays in @f_shared; the entry, which sets the fuel, is run once.
; CHECK: define internal i32 @f_shared(ptr %ctx)
; CHECK-NEXT: call i64 @llvm.read_register
; CHECK-NOT: store i32 4096
; CHECK: call i32 @f_shared(
define internal i32 @f_shared(ptr %ctx) {
  %p = load ptr, ptr %ctx
  %c = icmp eq ptr %p, null
  br i1 %c, label %done, label %more
more:
  %r = call i32 @f_shared(ptr %p)
  ret i32 %r
done:
  ret i32 3
}

; CHECK: define internal i32 @iu_entry_again(ptr %ctx)
; CHECK-NEXT: ret i32 2
; CHECK: define internal i32 @iu_entry_shared(ptr %ctx)
; CHECK-NEXT: %iu.fuel = load
; CHECK: call i32 @f_shared(
; CHECK: define internal i32 @iu_entry_struct(ptr %ctx)
; CHECK-NEXT: ret i32 2

; CHECK: attributes #[[A]] = { fn_ret_thunk_extern noimplicitfloat noredzone nounwind "no-builtin-
attributes #0 = { nounwind willreturn mustprogress memory(argmem: readwrite) }

; JSON: "functions": [
; JSON: "loops": [
; JSON: "polled": true,
; JSON-NEXT: "why": "no constant bound is known"
; JSON: "recursive": true,
; JSON-NEXT: "stackCheck": true,
; JSON-NEXT: "symbol": "f_shared"
; JSON: "programs": [
; JSON: "entry": "iu_entry_again",
; JSON-NEXT: "hook": 1,
; JSON-NEXT: "name": "again",
; JSON-NEXT: "onFault": 1,
; JSON-NEXT: "polls": false,
; JSON-NEXT: "stackChecks": false
; JSON: "onFault": -1,
; JSON: "schema": 1,
; JSON: "loopsPolled": 1,
