; Kernel relocations: what is read stays and is not folded; what nothing reads is dropped.
; RUN: %iu -passes='iu-prepare,lto<O2>,iu<name=t;version=1.0.0>' -S %s | FileCheck %s
; CHECK: @read = internal externally_initialized global [168 x i8]
; CHECK-NOT: @unread
; CHECK: @llvm.compiler.used = {{.*}}ptr @read
; CHECK: define internal{{.*}} i32 @iu_entry_p(
; CHECK: load i32, ptr getelementptr inbounds nuw (i8, ptr @read, i64 144)
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

@a = dso_local constant <{ [40 x i8], ptr, i64 }> <{ [40 x i8] c"p\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\02\00\00\00", ptr @shim, i64 0 }>, section ".iu.marker", align 8
@read = constant [168 x i8] c"struct sk_buff\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00len\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\02\00\00\00\04\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00", section ".iu.reloc", align 8
@unread = constant [168 x i8] c"struct sk_buff\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00gone\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\02\00\00\00\04\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00", section ".iu.reloc", align 8
@llvm.used = appending global [3 x ptr] [ptr @a, ptr @read, ptr @unread], section "llvm.metadata"
define i32 @shim(ptr %ctx) {
  %offset = load i32, ptr getelementptr (i8, ptr @read, i64 144)
  ret i32 %offset
}
define i32 @accessor_that_nobody_calls() {
  %offset = load i32, ptr getelementptr (i8, ptr @unread, i64 144)
  ret i32 %offset
}
