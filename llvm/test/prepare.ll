; Only what a marker leads to is kept through optimisation, and what the runtime
; writes after load is not folded into the code.
; RUN: %iu -passes='iu-prepare' -S %s | FileCheck %s
; RUN: %iu -passes='iu-prepare,lto<O2>' -S %s | FileCheck --check-prefix=OPT %s
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

$group = comdat any

; CHECK: @M = internal constant
@M = constant <{ [40 x i8], ptr, i64 }> <{ [40 x i8] c"p\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\02\00\00\00", ptr @shim, i64 0 }>, section ".iu.marker", align 8
; CHECK: @P = internal externally_initialized global
@P = constant [64 x i8] zeroinitializer, section ".iu.param", align 8
; CHECK: @llvm.compiler.used = appending {{.*}} [2 x ptr] [ptr @M, ptr @P]
; CHECK-NOT: @llvm.used
; CHECK: @iu.file = private unnamed_addr constant [7 x i8] c"core.rs"
@llvm.used = appending global [1 x ptr] [ptr @M], section "llvm.metadata"

; CHECK-NOT: @other
@other = alias i32 (ptr), ptr @used_by_alias

; OPT: define internal {{.*}}i32 @shim(
; OPT: load i32, ptr getelementptr inbounds nuw (i8, ptr @P, i64 56)
; CHECK-NOT: #dbg_value
define i32 @shim(ptr %ctx) #0 !dbg !4 {
    #dbg_value(ptr %ctx, !8, !DIExpression(), !5)
  %v = load i32, ptr getelementptr (i8, ptr @P, i64 56)
  %r = call i32 @other(ptr %ctx)
  %s = add i32 %v, %r
  %c = icmp eq i32 %s, 77
  br i1 %c, label %dead, label %ok
dead:
; CHECK: call void @iu_rt_panic(ptr @iu.file, i64 7, i32 3, i32 9)
  call void @llvm.trap(), !dbg !5
  unreachable
ok:
  ret i32 %s
}

; CHECK: define internal i32 @used_by_alias
; CHECK-NOT: comdat
define i32 @used_by_alias(ptr %ctx) comdat($group) {
  %v = load i32, ptr %ctx
  ret i32 %v
}

; OPT-NOT: @nobody
define void @nobody() {
  ret void
}

; CHECK: attributes #0 = { fn_ret_thunk_extern noimplicitfloat noredzone nounwind
; CHECK-SAME: "no-builtin-strlen"{{.*}} "no-jump-tables"="true" "target-cpu"="x86-64" "target-features"="+soft-float
; CHECK-NOT: RtLibUseGOT
; CHECK: !"cf-protection-branch", i32 1
attributes #0 = { nonlazybind uwtable "probe-stack"="inline-asm" "target-cpu"="znver4" "target-features"="+avx2" }

declare void @llvm.trap()

!llvm.dbg.cu = !{!0}
!llvm.module.flags = !{!2, !3}
!0 = distinct !DICompileUnit(language: DW_LANG_Rust, file: !1, emissionKind: LineTablesOnly)
!1 = !DIFile(filename: "core.rs", directory: "/")
!2 = !{i32 2, !"Debug Info Version", i32 3}
!3 = !{i32 2, !"RtLibUseGOT", i32 1}
!4 = distinct !DISubprogram(name: "abort", file: !1, line: 1, unit: !0, type: !6)
!5 = !DILocation(line: 3, column: 9, scope: !4)
!6 = !DISubroutineType(types: !7)
!7 = !{}
!8 = !DILocalVariable(name: "ctx", scope: !4, file: !1, line: 1, type: !9)
!9 = !DIBasicType(name: "u8", size: 8, encoding: DW_ATE_unsigned)

