// SPDX-License-Identifier: Apache-2.0
//
// Programs. First, before anything is instrumented, the function of each marker
// becomes the program's entry:
//
//   before: @M = internal constant <{ [40 x i8], ptr, i64 }> <{ c"drop\00…", ptr @shim, i64 0 }>, section ".iu.marker"
//           define internal i32 @shim(ptr %ctx) { … }
//   after:  define internal i32 @iu_entry_drop(ptr %ctx) { … }
//
// (a copy of it, if something else refers to @shim). Last, when it is known what
// polls and what checks the stack:
//
//   define internal i32 @iu_entry_drop(ptr %ctx) {
//     %fuel = load i32, ptr addrspace(256) @iu_rt_fuel          only if something
//     store i32 IU_FUEL, ptr addrspace(256) @iu_rt_fuel         below it polls
//     …
//     store i32 %fuel, ptr addrspace(256) @iu_rt_fuel
//     ret i32 %r
//   @iu.prog = internal constant [1 x { … }], section ".iu.prog"
//   @iu.info = internal constant { … }, section ".iu.info"
//
// A program that interrupts another on its CPU thus gives the fuel back; after
// a fault the runtime does.
#include "instrument.h"
#include "passes.h"
#include "runtime.h"
#include "tables.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/IR/AttributeMask.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/Transforms/Utils/Cloning.h"
#include "llvm/Transforms/Utils/ModuleUtils.h"

using namespace llvm;
using namespace iu;

namespace {

FunctionType *entryType(LLVMContext &C) {
  return FunctionType::get(Type::getInt32Ty(C), {PointerType::get(C, 0)}, false);
}

void makeEntry(Module &M, const Marker &P, Report &R, Findings &E) {
  std::string Symbol = ("iu_entry_" + P.Name);
  Function *F = P.Func;
  if (F->isDeclaration() || F->isVarArg() || F->getFunctionType() != entryType(M.getContext()) ||
      F->getCallingConv() != CallingConv::C) {
    E.add("marker", "program '" + P.Name + "' is not a function u32(void *) of this object");
    return;
  }
  if (M.getNamedValue(Symbol)) {
    E.add("marker", "the name '" + Symbol + "' is taken");
    return;
  }
  F->removeDeadConstantUsers();
  // The entry sets the fuel, so nothing inside the object may call it.
  bool Shared = any_of(F->users(), [&](const User *U) {
    auto *C = dyn_cast<Constant>(U);
    return !C || isa<GlobalValue>(C) || !C->hasOneUse() || *C->user_begin() != P.Global;
  });
  if (Shared) {
    ValueToValueMapTy Map;
    F = CloneFunction(F, Map);
  }
  F->setName(Symbol);
  F->setLinkage(GlobalValue::InternalLinkage);
  F->setUnnamedAddr(GlobalValue::UnnamedAddr::None);
  F->removeFnAttr(Attribute::Cold);
  F->removeFnAttr(Attribute::AlwaysInline);
  R.Programs.push_back({P.Name, P.Hook, P.OnFault, P.Args, Symbol});
}

void addFuel(Function &F) {
  GlobalVariable *Fuel = declareFuel(*F.getParent());
  IRBuilder<> B(afterAllocas(F));
  Value *Old = B.CreateLoad(B.getInt32Ty(), Fuel, "iu.fuel");
  B.CreateStore(B.getInt32(IU_FUEL), Fuel);
  for (BasicBlock &BB : F)
    if (auto *Ret = dyn_cast<ReturnInst>(BB.getTerminator())) {
      B.SetInsertPoint(Ret);
      B.CreateStore(Old, Fuel);
    }
}

// What optimisation found out about the functions holds no more: they count
// fuel and may leave through the runtime.
void forgetEffects(Module &M) {
  AttributeMask Stale;
  for (Attribute::AttrKind K :
       {Attribute::Memory, Attribute::MustProgress, Attribute::NoFree, Attribute::NoRecurse,
        Attribute::NoSync, Attribute::Speculatable, Attribute::WillReturn})
    Stale.addAttribute(K);
  for (Function &F : M) {
    if (F.isIntrinsic())
      continue;
    F.removeFnAttrs(Stale);
    for (Instruction &I : instructions(F))
      if (auto *CB = dyn_cast<CallBase>(&I); CB && !CB->getIntrinsicID())
        CB->removeFnAttrs(Stale);
  }
}

void define(Module &M, Constant *Init, StringRef Name, StringRef SectionName) {
  auto *G = new GlobalVariable(M, Init->getType(), true, GlobalValue::InternalLinkage, Init, Name);
  G->setSection(SectionName);
  G->setAlignment(Align(8));
  G->setDSOLocal(true);
  appendToCompilerUsed(M, {G});
}

// Text in a zero-filled array of Len bytes.
Constant *padded(LLVMContext &C, StringRef Text, size_t Len) {
  std::string S = Text.str();
  S.resize(Len);
  return ConstantDataArray::getString(C, S, false);
}

} // namespace

namespace iu {

void createEntries(Module &M, Report &R, Findings &E) {
  std::vector<Marker> Markers = readMarkers(M, E);
  checkMaps(M, E);
  checkParams(M, E);
  checkKRelocs(M, E);
  for (const Marker &P : Markers)
    makeEntry(M, P, R, E);
  E.stopIfAny();

  removeFromUsedLists(M, [](Constant *C) {
    auto *G = dyn_cast<GlobalVariable>(C->stripPointerCasts());
    return G && sectionOf(*G) == Section::Marker;
  });
  for (const Marker &P : Markers) {
    P.Global->removeDeadConstantUsers();
    if (!P.Global->use_empty())
      E.add("marker", "something refers to the marker of program '" + P.Name + "'");
    else
      P.Global->eraseFromParent();
  }
  E.stopIfAny();
  // Shims that were copied and that nothing else leads to.
  SetVector<Function *> Copied;
  for (const Marker &P : Markers)
    if (!P.Func->getName().starts_with("iu_entry_"))
      Copied.insert(P.Func);
  for (Function *F : Copied) {
    F->removeDeadConstantUsers();
    if (F->hasLocalLinkage() && F->use_empty())
      F->eraseFromParent();
  }
}

void finishEntries(Module &M, const CallGraph &G, const Package &P, Report &R, Findings &E) {
  LLVMContext &C = M.getContext();
  if (M.getTargetTriple().getArch() != Triple::x86_64) {
    E.add("target", "no extension can be made for '" + M.getTargetTriple().str() + "'");
    return;
  }
  forgetEffects(M);

  Type *I8 = Type::getInt8Ty(C), *I16 = Type::getInt16Ty(C), *I32 = Type::getInt32Ty(C),
       *I64 = Type::getInt64Ty(C);
  auto U32 = [&](uint32_t V) { return ConstantInt::get(I32, V); };

  auto *ProgTy = StructType::get(C, {ArrayType::get(I8, IU_ABI_NAME_LEN), I32, I32,
                                     PointerType::get(C, 0), I32, I32, I64});
  SmallVector<Constant *, 8> Progs;
  for (ProgramReport &Prog : R.Programs) {
    Function *F = M.getFunction(Prog.Entry);
    for (Function *Below : G.reachable({F})) {
      const FunctionReport &FR = R.Functions[Below];
      Prog.Polls |= FR.EntryPoll || any_of(FR.Loops, [](const LoopReport &L) { return L.Polled; });
      Prog.StackChecks |= FR.StackCheck;
    }
    if (Prog.Polls)
      addFuel(*F);
    uint32_t Flags = (Prog.Polls ? IU_PROG_F_POLL : 0) | (Prog.StackChecks ? IU_PROG_F_STACK_CHECK : 0);
    // The stack bound is the toolchain's to fill in: it knows the frames.
    Progs.push_back(ConstantStruct::get(
        ProgTy, {padded(C, Prog.Name, IU_ABI_NAME_LEN), U32(Prog.Hook), U32(Flags), F, U32(0),
                 U32(uint32_t(Prog.OnFault)), ConstantInt::get(I64, Prog.Args)}));
  }
  define(M, ConstantArray::get(ArrayType::get(ProgTy, Progs.size()), Progs), "iu.prog", IU_SEC_PROG);
  define(M,
         ConstantStruct::getAnon({U32(IU_ABI_MAGIC), ConstantInt::get(I16, IU_ABI_VERSION),
                                  ConstantInt::get(I16, ELF::EM_X86_64),
                                  padded(C, P.Name, IU_ABI_PKG_LEN), padded(C, P.Version, IU_ABI_VER_LEN),
                                  ConstantAggregateZero::get(ArrayType::get(I64, 3))}),
         "iu.info", IU_SEC_INFO);

  const DataLayout &DL = M.getDataLayout();
  if (DL.getTypeAllocSize(ProgTy) != sizeof(iu_abi_prog) ||
      DL.getTypeAllocSize(M.getGlobalVariable("iu.info", true)->getValueType()) != sizeof(iu_abi_info))
    E.add("internal", "a table has not the size of iu_abi.h");
}

} // namespace iu
