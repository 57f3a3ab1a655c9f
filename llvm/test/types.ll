; The types of a map's parameters, of which the toolchain makes BTF.
; RUN: %iu -passes='iu<name=t;version=1;report=%t.json>' %s -o /dev/null
; RUN: FileCheck %s < %t.json
;
; A map without types, or of which the debug information says none, is not named.
; CHECK:      "maps": [
; CHECK-NEXT:   {
; CHECK-NEXT:     "map": "HashMap",
; CHECK-NEXT:     "name": "flows",
; CHECK-NEXT:     "types": {
; CHECK-NEXT:       "K": {
; CHECK-NEXT:         "align": 1,
; CHECK-NEXT:         "count": 4,
; CHECK-NEXT:         "kind": "array",
; CHECK-NEXT:         "of": {
; CHECK-NEXT:           "encoding": "unsigned",
; CHECK-NEXT:           "kind": "int",
; CHECK-NEXT:           "name": "u8",
; CHECK-NEXT:           "size": 1
; CHECK-NEXT:         },
; CHECK-NEXT:         "size": 4
; CHECK-NEXT:       },
; CHECK-NEXT:       "V": {
; CHECK-NEXT:         "align": 8,
; CHECK-NEXT:         "kind": "struct",
; CHECK-NEXT:         "members": [
; CHECK-NEXT:           {
; CHECK-NEXT:             "name": "packets",
; CHECK-NEXT:             "offset": 0,
; CHECK-NEXT:             "type": {
; CHECK-NEXT:               "encoding": "signed",
; CHECK-NEXT:               "kind": "int",
; CHECK-NEXT:               "name": "i64",
; CHECK-NEXT:               "size": 8
; CHECK-NEXT:             }
; CHECK-NEXT:           },
; CHECK-NEXT:           {
; CHECK-NEXT:             "name": "to",
; CHECK-NEXT:             "offset": 8,
; CHECK-NEXT:             "type": {
; CHECK-NEXT:               "kind": "bytes",
; CHECK-NEXT:               "size": 8
; CHECK-NEXT:             }
; CHECK-NEXT:           }
; CHECK-NEXT:         ],
; CHECK-NEXT:         "name": "Flow",
; CHECK-NEXT:         "size": 16
; CHECK-NEXT:       }
; CHECK-NEXT:     }
; CHECK-NEXT:   }
; CHECK-NEXT: ],
source_filename = "types.ll"
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-none-elf"

@flows = internal global { [32 x i8], [5 x i32], i32, [3 x i64] } { [32 x i8] c"flows\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00", [5 x i32] [i32 1, i32 4, i32 16, i32 8, i32 0], i32 0, [3 x i64] zeroinitializer }, section ".iu.map", align 8, !dbg !10
@ring = internal global { [32 x i8], [5 x i32], i32, [3 x i64] } { [32 x i8] c"ring\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00", [5 x i32] [i32 27, i32 0, i32 0, i32 4096, i32 0], i32 0, [3 x i64] zeroinitializer }, section ".iu.map", align 8
@marker = internal constant { [32 x i8], i32, i32, ptr, i64 } { [32 x i8] c"p\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00", i32 1, i32 2, ptr @p, i64 0 }, section ".iu.marker", align 8
@llvm.used = appending global [3 x ptr] [ptr @flows, ptr @ring, ptr @marker], section "llvm.metadata"

define internal i32 @p(ptr %ctx) {
  ret i32 2
}

!llvm.dbg.cu = !{!0}
!llvm.module.flags = !{!2}
!0 = distinct !DICompileUnit(language: DW_LANG_Rust, file: !1, producer: "test", emissionKind: FullDebug, globals: !3)
!1 = !DIFile(filename: "types.rs", directory: "")
!2 = !{i32 2, !"Debug Info Version", i32 3}
!3 = !{!10}
!10 = !DIGlobalVariableExpression(var: !11, expr: !DIExpression())
!11 = distinct !DIGlobalVariable(name: "FLOWS", scope: !0, file: !1, line: 1, type: !12, isLocal: true, isDefinition: true)
!12 = !DICompositeType(tag: DW_TAG_structure_type, name: "HashMap<[u8; 4], types::Flow, 8>", file: !1, size: 640, align: 64, elements: !4, templateParams: !13, identifier: "a")
!4 = !{}
!13 = !{!14, !15}
!14 = !DITemplateTypeParameter(name: "K", type: !16)
!15 = !DITemplateTypeParameter(name: "V", type: !20)
!16 = !DICompositeType(tag: DW_TAG_array_type, baseType: !17, size: 32, align: 8, elements: !18)
!17 = !DIBasicType(name: "u8", size: 8, encoding: DW_ATE_unsigned)
!18 = !{!19}
!19 = !DISubrange(count: 4, lowerBound: 0)
!20 = !DICompositeType(tag: DW_TAG_structure_type, name: "Flow", file: !1, size: 128, align: 64, elements: !21, templateParams: !4, identifier: "b")
!21 = !{!22, !23, !25}
!22 = !DIDerivedType(tag: DW_TAG_member, name: "packets", scope: !20, file: !1, baseType: !26, size: 64, align: 64)
!23 = !DIDerivedType(tag: DW_TAG_member, name: "to", scope: !20, file: !1, baseType: !24, size: 64, align: 64, offset: 64)
!24 = !DIDerivedType(tag: DW_TAG_pointer_type, name: "*u8", baseType: !17, size: 64)
!25 = !DIDerivedType(tag: DW_TAG_member, name: "nothing", scope: !20, file: !1, baseType: !27, align: 8, offset: 128)
!26 = !DIBasicType(name: "i64", size: 64, encoding: DW_ATE_signed)
!27 = !DICompositeType(tag: DW_TAG_structure_type, name: "PhantomData<u8>", file: !1, align: 8, elements: !4, identifier: "c")
