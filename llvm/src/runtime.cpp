// SPDX-License-Identifier: Apache-2.0
#include "runtime.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/Function.h"
#include "llvm/IR/Intrinsics.h"

#include <type_traits>

using namespace llvm;

// Declared only so that decltype can turn the header's C types into IR types.
namespace iu::decl {
#define X(ret, name, args) ret name args;
IU_RT_FUNCTIONS(X)
#undef X
} // namespace iu::decl

namespace {

template <typename T> Type *irType(LLVMContext &C) {
  if constexpr (std::is_void_v<T>)
    return Type::getVoidTy(C);
  else if constexpr (std::is_pointer_v<T>)
    return PointerType::get(C, 0);
  else {
    static_assert(std::is_integral_v<T>, "a runtime function takes integers and pointers");
    return IntegerType::get(C, 8 * sizeof(T));
  }
}

template <typename F> struct Signature;
template <typename R, typename... A> struct Signature<R(A...)> {
  static FunctionType *get(LLVMContext &C) {
    return FunctionType::get(irType<R>(C), {irType<A>(C)...}, false);
  }
};

static_assert(sizeof(iu_abi_info) == 160 && sizeof(iu_abi_prog) == 64 &&
                  sizeof(iu_abi_marker) == 56 && sizeof(iu_abi_map) == 80 &&
                  sizeof(iu_abi_param) == 64 && sizeof(iu_abi_kreloc) == 168,
              "the sizes that iu_abi.h promises");

// Plain x86-64 without any FPU or vector unit, and the kernel's retpolines.
constexpr StringLiteral Features =
    "+soft-float,-mmx,-sse,-sse2,-sse3,-ssse3,-sse4.1,-sse4.2,-avx,-avx2,-x87,"
    "+retpoline-external-thunk,+retpoline-indirect-branches,+retpoline-indirect-calls";

// What LLVM would make a loop into although no kernel symbol of ours does it.
constexpr StringLiteral NoBuiltins[] = {
    "no-builtin-strlen",  "no-builtin-wcslen",  "no-builtin-memchr", "no-builtin-memrchr",
    "no-builtin-memccpy", "no-builtin-mempcpy", "no-builtin-stpcpy", "no-builtin-strcpy"};

FunctionCallee declare(Module &M, StringRef Name, bool NoReturn) {
  FunctionCallee Callee = M.getOrInsertFunction(Name, iu::runtimeType(M.getContext(), Name));
  auto *F = cast<Function>(Callee.getCallee());
  F->setDSOLocal(true);
  F->addFnAttr(Attribute::NoUnwind);
  F->addFnAttr(Attribute::Cold);
  if (NoReturn)
    F->addFnAttr(Attribute::NoReturn);
  return Callee;
}

// ".data.x", but not ".data..percpu": the kernel's own names have two dots.
bool isUnder(StringRef Name, StringRef Prefix) {
  return Name.consume_front(Prefix) && !Name.contains("..") && (Name.empty() || Name[0] == '.');
}

} // namespace

namespace iu {

FunctionType *runtimeType(LLVMContext &C, StringRef Name) {
#define X(ret, name, args)                                                                         \
  if (Name == #name)                                                                               \
    return Signature<decltype(decl::name)>::get(C);
  IU_RT_FUNCTIONS(X)
#undef X
  return nullptr;
}

bool isKernelSymbol(StringRef Name) {
#define X(name) .Case(#name, true)
  return StringSwitch<bool>(Name) IU_KERNEL_SYMBOLS(X).Default(false);
#undef X
}

bool isPassOnly(StringRef Name) { return Name == PollName || Name == OverflowName; }

// It keeps all registers but r11 (enter.S), so that a loop keeps its own in those.
FunctionCallee declarePoll(Module &M) {
  FunctionCallee Callee = declare(M, PollName, false);
  cast<Function>(Callee.getCallee())->setCallingConv(CallingConv::PreserveMost);
  return Callee;
}
FunctionCallee declareOverflow(Module &M) { return declare(M, OverflowName, true); }
FunctionCallee declarePanic(Module &M) { return declare(M, PanicName, true); }

GlobalVariable *findFuel(Module &M) { return M.getGlobalVariable(IU_RT_FUEL); }

GlobalVariable *declareFuel(Module &M) {
  if (GlobalVariable *G = findFuel(M))
    return G;
  auto *G = new GlobalVariable(M, Type::getInt32Ty(M.getContext()), false,
                               GlobalValue::ExternalLinkage, nullptr, IU_RT_FUEL, nullptr,
                               GlobalValue::NotThreadLocal, PerCpuSpace);
  G->setDSOLocal(true);
  G->setAlignment(Align(4));
  return G;
}

Section sectionOf(const GlobalObject &G) {
  StringRef S = G.getSection();
  if (S.empty())
    return Section::None;
  if (S == "llvm.metadata")
    return Section::Metadata;
  if (S == IU_SEC_MARKER)
    return Section::Marker;
  if (S == IU_SEC_MAP)
    return Section::Map;
  if (S == IU_SEC_PARAM)
    return Section::Param;
  if (S == IU_SEC_KRELOC)
    return Section::KReloc;
  if (S == IU_SEC_INFO)
    return Section::Info;
  if (S == IU_SEC_PROG)
    return Section::Prog;
  if (isa<Function>(G))
    return isUnder(S, ".text") ? Section::Plain : Section::Unknown;
  for (StringRef P : {".rodata", ".data", ".bss"})
    if (isUnder(S, P))
      return Section::Plain;
  return Section::Unknown;
}

void hardenFunction(Function &F) {
  for (Attribute::AttrKind K : {Attribute::NonLazyBind, Attribute::UWTable,
                                Attribute::StackProtect, Attribute::StackProtectReq,
                                Attribute::StackProtectStrong})
    F.removeFnAttr(K);
  for (StringRef K : {"probe-stack", "stack-probe-size", "frame-pointer", "tune-cpu"})
    F.removeFnAttr(K);
  for (Attribute::AttrKind K : {Attribute::NoImplicitFloat, Attribute::NoRedZone, Attribute::NoUnwind})
    F.addFnAttr(K);
  if (Without::Thunks)
    F.removeFnAttr(Attribute::FnRetThunkExtern);
  else
    F.addFnAttr(Attribute::FnRetThunkExtern);
  for (StringRef K : NoBuiltins)
    F.addFnAttr(K);
  F.addFnAttr("no-jump-tables", "true");
  F.addFnAttr("target-cpu", "x86-64");
  F.addFnAttr("target-features", Features);
}

void harden(Module &M) {
  for (Function &F : M) {
    if (F.isIntrinsic())
      continue;
    if (F.isDeclaration()) {
      // No GOT: the kernel resolves every symbol itself, near enough for 32 bits.
      F.removeFnAttr(Attribute::NonLazyBind);
      F.setDSOLocal(true);
    } else {
      hardenFunction(F);
    }
  }
  for (GlobalVariable &G : M.globals())
    G.setDSOLocal(true);

  LLVMContext &C = M.getContext();
  auto Word = [&](uint32_t V) {
    return ConstantAsMetadata::get(ConstantInt::get(Type::getInt32Ty(C), V));
  };
  // Name, behaviour when linked, value. ENDBR at everything whose address is
  // taken; no calls through a GOT, no unwind tables.
  struct Flag {
    StringRef Name;
    Module::ModFlagBehavior Behavior;
    uint32_t Value;
  };
  const Flag Set[] = {{"cf-protection-branch", Module::Override, 1},
                      {"function_return_thunk_extern", Module::Override, !Without::Thunks},
                      // As the kernel has it; what needs more aligns its own frame.
                      {"override-stack-alignment", Module::Override, 8},
                      {"Code Model", Module::Error, 2}};
  const StringRef Drop[] = {"RtLibUseGOT", "uwtable", "frame-pointer", "PIC Level", "PIE Level",
                            "ibt-seal", "cf-protection-return"};
  SmallVector<MDNode *, 16> Keep;
  if (NamedMDNode *Flags = M.getModuleFlagsMetadata()) {
    for (MDNode *N : Flags->operands()) {
      StringRef Name = cast<MDString>(N->getOperand(1))->getString();
      if (!is_contained(Drop, Name) && none_of(Set, [&](const Flag &F) { return F.Name == Name; }))
        Keep.push_back(N);
    }
    Flags->clearOperands();
    for (MDNode *N : Keep)
      Flags->addOperand(N);
  }
  for (const Flag &F : Set)
    M.addModuleFlag(F.Behavior, F.Name, Word(F.Value));
}

} // namespace iu
