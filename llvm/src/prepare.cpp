// SPDX-License-Identifier: Apache-2.0
//
// Before optimisation: makes the linked crates one closed program, so that the
// optimiser may drop and specialise everything that no marker leads to.
//
//   before: @M = constant {…, ptr @f}, section ".iu.marker"
//           @PORT = constant {…}, section ".iu.param"
//           @llvm.used = [@M]
//           define void @core::fmt::write(…)
//           call void @llvm.trap()
//   after:  @M = internal constant {…, ptr @f}, section ".iu.marker"
//           @PORT = internal externally_initialized global {…}, section ".iu.param"
//           @llvm.compiler.used = [@M, @PORT]
//           define internal void @core::fmt::write(…)
//           call void @iu_rt_panic(ptr @file, i64 len, i32 line, i32 col)
//
// Panics need little more: once core::panicking is internal and the crate's
// panic handler reads only the location, dead-argument elimination of the LTO
// pipeline removes the formatting and all that it refers to.
#include "passes.h"
#include "runtime.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/Transforms/Utils/Local.h"
#include "llvm/Transforms/Utils/ModuleUtils.h"

using namespace llvm;
using namespace iu;

namespace {

bool isRoot(const GlobalVariable &G) {
  Section S = sectionOf(G);
  return S == Section::Marker || S == Section::Map || S == Section::Param ||
         S == Section::KReloc;
}

void internalize(Module &M) {
  for (GlobalAlias &A : make_early_inc_range(M.aliases())) {
    if (isa<GlobalObject>(A.getAliasee()) && !cast<GlobalObject>(A.getAliasee())->isDeclaration()) {
      A.replaceAllUsesWith(A.getAliasee());
      A.eraseFromParent();
    }
  }
  for (GlobalObject &G : M.global_objects()) {
    if (G.isDeclaration() || G.getName().starts_with("llvm."))
      continue;
    G.setComdat(nullptr);
    G.setVisibility(GlobalValue::DefaultVisibility);
    G.setDLLStorageClass(GlobalValue::DefaultStorageClass);
    if (!G.hasLocalLinkage())
      G.setLinkage(GlobalValue::InternalLinkage);
  }
}

void keepRoots(Module &M) {
  // llvm.used would put each static into an ELF section of its own (SHF_GNU_RETAIN).
  SmallVector<GlobalValue *, 16> Keep;
  for (GlobalVariable &G : M.globals()) {
    if (!isRoot(G))
      continue;
    Keep.push_back(&G);
    if (sectionOf(G) != Section::Marker) {
      // The runtime writes them after load: no value is known when compiling.
      G.setConstant(false);
      G.setExternallyInitialized(true);
      G.setUnnamedAddr(GlobalValue::UnnamedAddr::None);
    }
  }
  for (StringRef Name : {"llvm.used", "llvm.compiler.used"})
    if (GlobalVariable *Used = M.getGlobalVariable(Name))
      Used->eraseFromParent();
  appendToCompilerUsed(M, Keep);
}

// ud2 in the kernel is an oops: abort() and friends become a panic.
void replaceTraps(Module &M) {
  SmallVector<CallInst *, 4> Traps;
  for (Function &F : M)
    for (Instruction &I : instructions(F))
      if (auto *C = dyn_cast<CallInst>(&I))
        switch (C->getIntrinsicID()) {
        case Intrinsic::trap:
        case Intrinsic::ubsantrap:
        case Intrinsic::debugtrap:
          Traps.push_back(C);
          break;
        default:
          break;
        }
  if (Traps.empty())
    return;
  FunctionCallee Panic = declarePanic(M);
  StringMap<Constant *> Files;
  for (CallInst *C : Traps) {
    IRBuilder<> B(C);
    const DILocation *L = C->getDebugLoc();
    StringRef File = L ? L->getFilename() : "";
    Constant *&Str = Files[File];
    if (!Str)
      Str = B.CreateGlobalString(File, "iu.file", 0, &M, false);
    CallInst *New = B.CreateCall(Panic, {Str, B.getInt64(File.size()), B.getInt32(L ? L->getLine() : 0),
                                         B.getInt32(L ? L->getColumn() : 0)});
    New->setDebugLoc(C->getDebugLoc());
    New->setDoesNotReturn();
    C->eraseFromParent();
  }
}

// A function of core or the panic handler, by the end of its mangled name: what is
// before it has a hash.
Function *findRust(Module &M, StringRef Suffix) {
  for (Function &F : M)
    if (!F.isDeclaration() && F.getName().starts_with("_RN") && F.getName().ends_with(Suffix))
      return &F;
  return nullptr;
}

// panic_fmt and the handler only hand the location on.
void inlinePanics(Module &M) {
  for (StringRef Suffix : {"_4core9panicking9panic_fmt", "7___rustc17rust_begin_unwind"})
    if (Function *F = findRust(M, Suffix)) {
      for (Attribute::AttrKind K : {Attribute::NoInline, Attribute::OptimizeForSize, Attribute::MinSize})
        F->removeFnAttr(K);
      F->addFnAttr(Attribute::AlwaysInline);
      for (User *U : F->users())
        if (auto *CB = dyn_cast<CallBase>(U))
          CB->removeFnAttr(Attribute::NoInline);
    }
}

// Slicing a str out of range formats its message with str slices, hence calls
// itself: that one recursion would cost every user of str a stack check.
//
//   before: define void @core::str::slice_error_fail_rt(ptr, i64, i64, i64, ptr %location) { … }
//   after:  define void @core::str::slice_error_fail_rt(ptr, i64, i64, i64, ptr %location) {
//             call void @core::panicking::panic(ptr @message, i64 len, ptr %location)
//             unreachable
void shortenStrFailure(Module &M) {
  Function *Fail = findRust(M, "_4core3str19slice_error_fail_rt");
  Function *Panic = findRust(M, "_4core9panicking5panic");
  LLVMContext &C = M.getContext();
  Type *Ptr = PointerType::get(C, 0), *I64 = Type::getInt64Ty(C), *Void = Type::getVoidTy(C);
  auto *FailTy = FunctionType::get(Void, {Ptr, I64, I64, I64, Ptr}, false);
  auto *PanicTy = FunctionType::get(Void, {Ptr, I64, Ptr}, false);
  if (!Fail || !Panic || Fail->getFunctionType() != FailTy || Panic->getFunctionType() != PanicTy)
    return; // another core: the long way works too
  DISubprogram *SP = Fail->getSubprogram();
  Fail->deleteBody();
  Fail->setLinkage(GlobalValue::InternalLinkage);
  Fail->setSubprogram(SP);
  IRBuilder<> B(BasicBlock::Create(C, "", Fail));
  if (SP)
    B.SetCurrentDebugLocation(DILocation::get(C, SP->getLine(), 0, SP));
  StringRef Text = "str slice out of range or not at a character";
  Value *Message = B.CreateGlobalString(Text, "iu.str", 0, &M, false);
  B.CreateCall(Panic, {Message, B.getInt64(Text.size()), Fail->getArg(4)})
      ->setCallingConv(Panic->getCallingConv());
  B.CreateUnreachable();
}

// Whatever would panic does not happen, and the checks go with it: see Without.
void dropPanics(Module &M) {
  SmallVector<CallInst *, 16> Panics;
  for (Function &F : M)
    for (Instruction &I : instructions(F))
      if (auto *C = dyn_cast<CallInst>(&I); C && C->doesNotReturn())
        Panics.push_back(C);
  for (CallInst *C : Panics)
    changeToUnreachable(C);
}

// Where a variable is found is of no use to anyone here, and costs a third of the time that it takes to make the code.
void forgetVariables(Module &M) {
  for (Function &F : M)
    for (Instruction &I : instructions(F))
      I.dropDbgRecords();
}

} // namespace

namespace iu {

void prepare(Module &M, Findings &E) {
  if (none_of(M.globals(), [](const GlobalVariable &G) { return sectionOf(G) == Section::Marker; }))
    E.add("marker", "the module has no program: nothing is in section '" IU_SEC_MARKER "'");
  forgetVariables(M);
  internalize(M);
  keepRoots(M);
  replaceTraps(M);
  shortenStrFailure(M);
  inlinePanics(M);
  if (Without::Panics)
    dropPanics(M);
  harden(M);
}

} // namespace iu
