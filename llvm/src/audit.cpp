// SPDX-License-Identifier: Apache-2.0
//
// Refuses a module that holds anything but what is known to be safe:
//
//   define i32 @f(ptr %p) {
//     call void asm sideeffect "cli", ""()      error: iu: inline-asm: …
//     %x = fadd double %a, %b                   error: iu: float: …
//     call void @printk(ptr %p)                 error: iu: symbol: …
//
// Nothing is changed. Everything is an allow-list: an instruction, intrinsic,
// type, section or symbol that is not named here is an error.
#include "passes.h"
#include "runtime.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Intrinsics.h"
#include "llvm/IR/IntrinsicsX86.h"
#include "llvm/IR/Operator.h"

using namespace llvm;
using namespace iu;

namespace {

// Intrinsics that LLVM turns into a few instructions or into memcpy, memmove,
// memset, memcmp or bcmp on any x86-64, or into nothing.
bool isKnownIntrinsic(Intrinsic::ID ID) {
  switch (ID) {
  case Intrinsic::abs:
  case Intrinsic::assume:
  case Intrinsic::bitreverse:
  case Intrinsic::bswap:
  case Intrinsic::ctlz:
  case Intrinsic::ctpop:
  case Intrinsic::cttz:
  case Intrinsic::dbg_assign:
  case Intrinsic::dbg_declare:
  case Intrinsic::dbg_label:
  case Intrinsic::dbg_value:
  case Intrinsic::donothing:
  case Intrinsic::expect:
  case Intrinsic::expect_with_probability:
  case Intrinsic::experimental_noalias_scope_decl:
  case Intrinsic::fshl:
  case Intrinsic::fshr:
  case Intrinsic::invariant_end:
  case Intrinsic::invariant_start:
  case Intrinsic::is_constant:
  case Intrinsic::launder_invariant_group:
  case Intrinsic::lifetime_end:
  case Intrinsic::lifetime_start:
  case Intrinsic::load_relative:
  case Intrinsic::memcpy:
  case Intrinsic::memcpy_inline:
  case Intrinsic::memmove:
  case Intrinsic::memset:
  case Intrinsic::memset_inline:
  case Intrinsic::objectsize:
  case Intrinsic::ptrmask:
  case Intrinsic::sadd_sat:
  case Intrinsic::sadd_with_overflow:
  case Intrinsic::scmp:
  case Intrinsic::sideeffect:
  case Intrinsic::smax:
  case Intrinsic::smin:
  case Intrinsic::smul_with_overflow:
  case Intrinsic::sshl_sat:
  case Intrinsic::ssub_sat:
  case Intrinsic::ssub_with_overflow:
  case Intrinsic::strip_invariant_group:
  case Intrinsic::uadd_sat:
  case Intrinsic::uadd_with_overflow:
  case Intrinsic::ucmp:
  case Intrinsic::umax:
  case Intrinsic::umin:
  case Intrinsic::umul_with_overflow:
  case Intrinsic::ushl_sat:
  case Intrinsic::usub_sat:
  case Intrinsic::usub_with_overflow:
  case Intrinsic::x86_sse2_pause: // an encoding of nop: needs no SSE
    return true;
  default:
    return false;
  }
}

// Why a value of this type cannot be in kernel code, or null.
const char *badType(const Type *T, Stage S) {
  switch (T->getTypeID()) {
  case Type::VoidTyID:
  case Type::LabelTyID:
  case Type::MetadataTyID:
  case Type::TokenTyID:
    return nullptr;
  case Type::IntegerTyID:
    return T->getIntegerBitWidth() > 128 ? "integer wider than 128 bits" : nullptr;
  case Type::PointerTyID:
    if (T->getPointerAddressSpace() == 0 ||
        (S == Stage::Output && T->getPointerAddressSpace() == PerCpuSpace))
      return nullptr;
    return "pointer into another address space";
  case Type::StructTyID:
    for (const Type *E : cast<StructType>(T)->elements())
      if (const char *Why = badType(E, S))
        return Why;
    return nullptr;
  case Type::ArrayTyID:
    return badType(T->getArrayElementType(), S);
  case Type::FunctionTyID:
    for (const Type *P : T->subtypes())
      if (const char *Why = badType(P, S))
        return Why;
    return nullptr;
  case Type::FixedVectorTyID:
  case Type::ScalableVectorTyID:
    return "vector type";
  default:
    return T->isFloatingPointTy() ? "floating point" : "unknown type";
  }
}

class Auditor {
public:
  Auditor(Module &M, Stage S, Findings &E) : M(M), S(S), E(E) {}

  void run() {
    if (!M.getModuleInlineAsm().empty())
      E.add("module-asm", "module-level assembly is not allowed");
    for (const GlobalAlias &A : M.aliases())
      E.add("alias", "alias '" + A.getName() + "' is not allowed");
    for (const GlobalIFunc &I : M.ifuncs())
      E.add("ifunc", "ifunc '" + I.getName() + "' is not allowed");
    for (const GlobalVariable &G : M.globals())
      global(G);
    for (Function &F : M)
      function(F);
  }

private:
  Module &M;
  Stage S;
  Findings &E;

  void global(const GlobalVariable &G) {
    StringRef Name = G.getName();
    if (Name == "llvm.global_ctors" || Name == "llvm.global_dtors") {
      E.add("ctors", "constructors and destructors are not allowed ('" + Name + "')");
      return;
    }
    if (Name == "llvm.used" || Name == "llvm.compiler.used")
      return;
    if (G.isThreadLocal())
      E.add("thread-local", "thread-local static '" + pretty(Name) + "'");
    if (G.isDeclaration()) {
      if (S != Stage::Output || Name != IU_RT_FUEL)
        E.add("symbol", "reference to '" + pretty(Name) + "', which is not a symbol of the runtime");
      return;
    }
    if (!G.hasLocalLinkage())
      E.add("linkage", "static '" + pretty(Name) + "' is visible outside the object");
    if (G.getAddressSpace() != 0)
      E.add("address-space", "static '" + pretty(Name) + "' is in another address space");
    if (G.hasComdat())
      E.add("comdat", "static '" + pretty(Name) + "' is in a group");
    // The whole object has IU_ABI_MAX_OBJECT: half of that for one static is what still can be placed.
    if (uint64_t Size = G.getDataLayout().getTypeAllocSize(G.getValueType()); Size > IU_ABI_MAX_OBJECT / 2)
      E.add("static", "static '" + pretty(Name) + "' has " + Twine(Size) + " bytes, at most " +
                          Twine(IU_ABI_MAX_OBJECT / 2) + " are allowed: large data is kept in maps" +
                          (where(G).empty() ? "" : " at " + where(G)));
    switch (sectionOf(G)) {
    case Section::None:
    case Section::Plain:
    case Section::Map:
    case Section::Param:
    case Section::KReloc:
      break;
    case Section::Marker:
      if (S == Stage::Output)
        E.add("section", "a marker is left: '" + pretty(Name) + "'");
      break;
    case Section::Info:
    case Section::Prog:
      if (S == Stage::Input)
        E.add("section", "static '" + pretty(Name) + "' is in section '" + G.getSection() +
                             "', which only the toolchain fills");
      break;
    default:
      E.add("section", "static '" + pretty(Name) + "' is in unknown section '" + G.getSection() + "'");
    }
    if (G.hasInitializer())
      constant(G.getInitializer(), [&](const Twine &What) {
        E.add("symbol", What + " in the value of static '" + pretty(Name) + "'");
      });
  }

  // Functions of the runtime are only ever called: their address in data would
  // let an indirect call leave the call graph.
  template <typename Report> void constant(const Constant *C, Report R) {
    SmallVector<const Constant *, 8> Work{C};
    SmallPtrSet<const Constant *, 8> Done;
    while (!Work.empty()) {
      const Constant *V = Work.pop_back_val();
      if (!Done.insert(V).second)
        continue;
      if (isa<BlockAddress>(V))
        R("address of a label");
      if (auto *F = dyn_cast<Function>(V); F && F->isDeclaration())
        R("address of '" + pretty(F->getName()) + "' taken");
      if (isa<GlobalValue>(V))
        continue;
      for (const Value *Op : V->operands())
        if (auto *Next = dyn_cast<Constant>(Op))
          Work.push_back(Next);
    }
  }

  void function(Function &F) {
    if (F.isIntrinsic())
      return; // judged where it is called
    if (F.isDeclaration()) {
      declaration(F);
      return;
    }
    if (!F.hasLocalLinkage())
      E.add("linkage", "function is visible outside the object", F);
    if (F.hasComdat())
      E.add("comdat", "function is in a group", F);
    if (Section Sec = sectionOf(F); Sec != Section::None && Sec != Section::Plain)
      E.add("section", "function is in unknown section '" + F.getSection() + "'", F);
    if (F.hasPersonalityFn() || F.hasGC() || F.hasPrefixData() || F.hasPrologueData())
      E.add("function", "personality, GC, prefix or prologue data is not allowed", F);
    if (F.isVarArg())
      E.add("varargs", "variadic function", F);
    if (F.hasFnAttribute(Attribute::Naked) || F.hasFnAttribute("interrupt"))
      E.add("function", "naked or interrupt function", F);
    callingConvention(F.getCallingConv(), [&](const Twine &W) { E.add("calling-convention", W, F); });
    if (const char *Why = badType(F.getFunctionType(), S))
      E.add(Why == StringRef("floating point") ? "float" : "type", Twine(Why) + " in a signature", F);
    for (Instruction &I : instructions(F))
      instruction(I);
    frame(F);
  }

  // The machine frame is measured after code generation; this is for a message
  // that can name the line.
  void frame(Function &F) {
    uint64_t Sum = 0, Largest = 0;
    AllocaInst *Worst = nullptr;
    for (Instruction &I : F.getEntryBlock())
      if (auto *A = dyn_cast<AllocaInst>(&I))
        if (auto Size = A->getAllocationSize(M.getDataLayout())) {
          Sum += Size->getKnownMinValue();
          if (!Worst || Size->getKnownMinValue() > Largest) {
            Largest = Size->getKnownMinValue();
            Worst = A;
          }
        }
    if (Sum > IU_FRAME_MAX)
      E.add("frame", Twine(Sum) + " bytes of local variables, at most " + Twine(IU_FRAME_MAX) +
                         " fit a frame (the largest has " + Twine(Largest) + ")", *Worst);
  }

  void declaration(Function &F) {
    StringRef Name = F.getName();
    if (F.use_empty())
      return;
    FunctionType *Want = runtimeType(M.getContext(), Name);
    if (Want && isPassOnly(Name) && S == Stage::Input)
      return users(F, "only the toolchain may call '" + Name.str() + "'");
    if (!Want && !isKernelSymbol(Name))
      return users(F, "call of '" + pretty(Name) + "', which is not a symbol of the runtime");
    if (!Want && Name.starts_with("__x86_"))
      return users(F, "'" + Name.str() + "' is not for calls");
    if (Want && F.getFunctionType() != Want)
      return users(F, "'" + Name.str() + "' is declared with another type than the runtime's");
  }

  void users(const Function &F, const std::string &What) {
    bool Placed = false;
    for (const User *U : F.users())
      if (auto *I = dyn_cast<Instruction>(U)) {
        E.add("symbol", What, *I);
        Placed = true;
      }
    if (!Placed)
      E.add("symbol", What);
  }

  template <typename Report> void callingConvention(CallingConv::ID CC, Report R) {
    if (CC != CallingConv::C && CC != CallingConv::Fast && CC != CallingConv::Cold)
      R("unknown calling convention " + Twine(unsigned(CC)));
  }

  void instruction(Instruction &I) {
    type(I);
    for (const Value *Op : I.operands())
      if (auto *C = dyn_cast<Constant>(Op))
        operand(I, C);
    switch (I.getOpcode()) {
    case Instruction::Ret:
    case Instruction::Br:
    case Instruction::Switch:
    case Instruction::Unreachable:
    case Instruction::Add:
    case Instruction::Sub:
    case Instruction::Mul:
    case Instruction::Shl:
    case Instruction::LShr:
    case Instruction::AShr:
    case Instruction::And:
    case Instruction::Or:
    case Instruction::Xor:
    case Instruction::GetElementPtr:
    case Instruction::Trunc:
    case Instruction::ZExt:
    case Instruction::SExt:
    case Instruction::PtrToInt:
    case Instruction::PtrToAddr:
    case Instruction::IntToPtr:
    case Instruction::BitCast:
    case Instruction::ICmp:
    case Instruction::PHI:
    case Instruction::Select:
    case Instruction::ExtractValue:
    case Instruction::InsertValue:
    case Instruction::Freeze:
    case Instruction::Fence:
      break;
    case Instruction::UDiv:
    case Instruction::SDiv:
    case Instruction::URem:
    case Instruction::SRem:
      if (I.getType()->isIntegerTy() && I.getType()->getIntegerBitWidth() > 64)
        E.add("division", "division of more than 64 bits needs a library", I);
      break;
    case Instruction::Alloca:
      if (!cast<AllocaInst>(I).isStaticAlloca() || cast<AllocaInst>(I).isUsedWithInAlloca())
        E.add("alloca", "stack memory of variable size", I);
      break;
    case Instruction::Load:
      atomic(I, cast<LoadInst>(I).isAtomic(), I.getType());
      break;
    case Instruction::Store:
      atomic(I, cast<StoreInst>(I).isAtomic(), cast<StoreInst>(I).getValueOperand()->getType());
      break;
    case Instruction::AtomicCmpXchg:
      atomic(I, true, cast<AtomicCmpXchgInst>(I).getCompareOperand()->getType());
      break;
    case Instruction::AtomicRMW:
      atomic(I, true, cast<AtomicRMWInst>(I).getValOperand()->getType());
      break;
    case Instruction::Call:
      call(cast<CallInst>(I));
      break;
    case Instruction::Invoke:
    case Instruction::Resume:
    case Instruction::LandingPad:
    case Instruction::CatchPad:
    case Instruction::CatchSwitch:
    case Instruction::CatchRet:
    case Instruction::CleanupPad:
    case Instruction::CleanupRet:
      E.add("unwind", Twine("exception handling ('") + I.getOpcodeName() + "')", I);
      break;
    case Instruction::IndirectBr:
    case Instruction::CallBr:
      E.add("indirect-branch", Twine("'") + I.getOpcodeName() + "' is not allowed", I);
      break;
    case Instruction::VAArg:
      E.add("varargs", "variadic argument", I);
      break;
    default:
      E.add(I.getType()->isFPOrFPVectorTy() ? "float" : "instruction",
            Twine("unknown instruction '") + I.getOpcodeName() + "'", I);
    }
  }

  void type(Instruction &I) {
    const char *Why = badType(I.getType(), S);
    for (unsigned N = 0; !Why && N < I.getNumOperands(); ++N)
      Why = badType(I.getOperand(N)->getType(), S);
    if (auto *A = dyn_cast<AllocaInst>(&I); !Why && A) // memory may hold what is only copied
      Why = isa<ScalableVectorType>(A->getAllocatedType()) ? "scalable vector" : nullptr;
    if (Why)
      E.add(StringRef(Why) == "floating point" ? "float" : "type", Why, I);
  }

  // A constant used by an instruction, other than as the callee of a call.
  void operand(Instruction &I, const Constant *C) {
    if (auto *CB = dyn_cast<CallBase>(&I); CB && CB->getCalledOperand() == C) {
      if (none_of(CB->args(), [&](const Use &U) { return U.get() == C; }))
        return;
    }
    if (isa<GlobalVariable>(C) && C->getName() == IU_RT_FUEL && S == Stage::Output)
      return;
    constant(C, [&](const Twine &What) { E.add("symbol", What, I); });
  }

  void atomic(Instruction &I, bool IsAtomic, Type *T) {
    if (IsAtomic && T->isSized() && M.getDataLayout().getTypeSizeInBits(T).getFixedValue() > 64)
      E.add("atomic", "atomic access of more than 64 bits", I);
  }

  void call(CallInst &I) {
    if (I.isInlineAsm()) {
      E.add("inline-asm", "inline assembly is not allowed", I);
      return;
    }
    if (I.isMustTailCall())
      E.add("musttail", "guaranteed tail call", I);
    if (I.hasOperandBundles() && I.getIntrinsicID() != Intrinsic::assume)
      E.add("call", "operand bundles are not allowed", I);
    // A poll keeps all registers, and nothing but the pass calls it.
    if (auto *F = I.getCalledFunction(); !F || F->getName() != PollName)
      callingConvention(I.getCallingConv(), [&](const Twine &W) { E.add("calling-convention", W, I); });
    Intrinsic::ID ID = I.getIntrinsicID();
    if (ID == Intrinsic::not_intrinsic) {
      // A direct call whose type is not the callee's is a call of an unknown
      // function: the callee would read arguments that were not passed.
      if (auto *F = dyn_cast<Function>(I.getCalledOperand()->stripPointerCasts());
          F && F->getFunctionType() != I.getFunctionType())
        E.add("call", "call of '" + pretty(F->getName()) + "' with another type", I);
      if (I.getFunctionType()->isVarArg())
        E.add("varargs", "variadic call", I);
      return;
    }
    if (ID == Intrinsic::read_register && S == Stage::Output)
      return; // the stack checks
    if (!isKnownIntrinsic(ID))
      E.add("intrinsic", "unknown intrinsic '" + I.getCalledFunction()->getName() + "'", I);
    if (auto *Mul = dyn_cast<WithOverflowInst>(&I);
        Mul && ID == Intrinsic::smul_with_overflow && Mul->getLHS()->getType()->getIntegerBitWidth() > 64)
      E.add("intrinsic", "checked signed multiplication of more than 64 bits needs a library", I);
  }
};

} // namespace

namespace iu {

void audit(Module &M, Stage S, Findings &E) { Auditor(M, S, E).run(); }

} // namespace iu
