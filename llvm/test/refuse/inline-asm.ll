; RUN: not %iu -passes='iu-audit' -disable-output %s 2>&1 | FileCheck %s
; CHECK: {{^}}error: iu: inline-asm: inline assembly is not allowed at src/lib.rs:7:5 (in f){{$}}
; CHECK-NOT: Stack dump
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

define internal void @f() !dbg !4 {
  call void asm sideeffect "cli", ""(), !dbg !5
  ret void
}
!llvm.dbg.cu = !{!0}
!llvm.module.flags = !{!2}
!0 = distinct !DICompileUnit(language: DW_LANG_Rust, file: !1, emissionKind: LineTablesOnly)
!1 = !DIFile(filename: "src/lib.rs", directory: "/")
!2 = !{i32 2, !"Debug Info Version", i32 3}
!4 = distinct !DISubprogram(name: "f", file: !1, line: 6, unit: !0, type: !6)
!5 = !DILocation(line: 7, column: 5, scope: !4)
!6 = !DISubroutineType(types: !7)
!7 = !{}
