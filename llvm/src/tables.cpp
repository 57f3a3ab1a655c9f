// SPDX-License-Identifier: Apache-2.0
#include "tables.h"
#include "runtime.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Analysis/ConstantFolding.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/Function.h"
#include "llvm/Transforms/Utils/ModuleUtils.h"

#include <cstddef>

using namespace llvm;
using namespace iu;

namespace {

// One static of a table section.
class Record {
public:
  Record(GlobalVariable &G, StringRef Rule, size_t Size, Findings &E) : G(G), Rule(Rule), E(E) {
    const DataLayout &DL = G.getDataLayout();
    if (!G.hasInitializer() || DL.getTypeAllocSize(G.getValueType()) != Size)
      bad("is not of " + Twine(Size) + " bytes");
    else if (MaybeAlign A = G.getAlign(); A && A->value() > 8)
      bad("is aligned to more than 8 bytes");
  }

  bool ok() const { return Ok; }

  void bad(const Twine &What) {
    Ok = false;
    E.add(Rule, "static '" + pretty(G.getName()) + "' in section '" + G.getSection() + "' " + What);
  }

  uint64_t number(size_t Offset, unsigned Bytes) {
    Type *T = IntegerType::get(G.getContext(), 8 * Bytes);
    auto *C = dyn_cast_or_null<ConstantInt>(load(T, Offset));
    if (!C) {
      bad("has no constant number at byte " + Twine(Offset));
      return 0;
    }
    return C->getZExtValue();
  }

  void zero(size_t From, size_t To) {
    for (size_t I = From; Ok && I < To; ++I)
      if (number(I, 1))
        bad("is not zero at byte " + Twine(I));
  }

  Function *function(size_t Offset) {
    Constant *C = load(PointerType::get(G.getContext(), 0), Offset);
    auto *F = dyn_cast_or_null<Function>(C ? C->stripPointerCasts() : nullptr);
    if (!F)
      bad("does not name a function at byte " + Twine(Offset));
    return F;
  }

  std::string name() {
    std::string S;
    size_t I = 0;
    for (; I < IU_ABI_NAME_LEN; ++I) {
      char C = char(number(I, 1));
      if (!C)
        break;
      S.push_back(C);
    }
    if (!Ok)
      return S;
    if (I == IU_ABI_NAME_LEN)
      bad("has a name that is not terminated");
    else if (S.empty())
      bad("has no name");
    else if (!all_of(S, [](char C) { return isAlnum(C) || C == '_' || C == '-'; }))
      bad("has a name with characters other than letters, digits, '_' and '-'");
    else
      zero(I, IU_ABI_NAME_LEN);
    return S;
  }

private:
  GlobalVariable &G;
  StringRef Rule;
  Findings &E;
  bool Ok = true;

  Constant *load(Type *T, size_t Offset) {
    return ConstantFoldLoadFromConst(G.getInitializer(), T, APInt(64, Offset), G.getDataLayout());
  }
};

template <typename F> void each(Module &M, Section S, F Do) {
  for (GlobalVariable &G : M.globals())
    if (sectionOf(G) == S)
      Do(G);
}

void countNames(std::vector<std::string> Names, size_t Max, StringRef Rule, StringRef What, Findings &E) {
  if (Names.size() > Max)
    E.add(Rule, Twine(Names.size()) + " " + What + "s, at most " + Twine(Max) + " are allowed");
  llvm::sort(Names);
  for (size_t I = 1; I < Names.size(); ++I)
    if (Names[I] == Names[I - 1])
      E.add(Rule, "two " + What + "s are named '" + Names[I] + "'");
}

} // namespace

namespace iu {

std::vector<Marker> readMarkers(Module &M, Findings &E) {
  std::vector<Marker> Out;
  std::vector<std::string> Names;
  each(M, Section::Marker, [&](GlobalVariable &G) {
    Record R(G, "marker", sizeof(iu_abi_marker), E);
    if (!R.ok())
      return;
    Marker P{R.name(), uint32_t(R.number(offsetof(iu_abi_marker, hook), 4)),
             int32_t(R.number(offsetof(iu_abi_marker, on_fault), 4)),
             R.function(offsetof(iu_abi_marker, func)),
             R.number(offsetof(iu_abi_marker, args), 8), &G};
    if (P.Hook == IU_HOOK_NONE || P.Hook >= IU_HOOK_MAX)
      R.bad("has unknown hook " + Twine(P.Hook));
    Names.push_back(P.Name);
    if (R.ok())
      Out.push_back(std::move(P));
  });
  if (Names.empty() && E.empty())
    E.add("marker", "the module has no program: nothing is in section '" IU_SEC_MARKER "'");
  countNames(Names, IU_ABI_MAX_PROGS, "marker", "program", E);
  llvm::sort(Out, [](const Marker &A, const Marker &B) { return A.Name < B.Name; });
  return Out;
}

void checkMaps(Module &M, Findings &E) {
  std::vector<std::string> Names;
  each(M, Section::Map, [&](GlobalVariable &G) {
    Record R(G, "map", sizeof(iu_abi_map), E);
    if (!R.ok())
      return;
    Names.push_back(R.name());
    if (!R.number(offsetof(iu_abi_map, type), 4))
      R.bad("has no type");
    R.zero(offsetof(iu_abi_map, stride), offsetof(iu_abi_map, role));
    if (uint64_t Role = R.number(offsetof(iu_abi_map, role), 4); Role >= IU_MAP_ROLES)
      R.bad("has unknown role " + Twine(Role));
    R.zero(offsetof(iu_abi_map, reserved), sizeof(iu_abi_map));
    if (G.isConstant())
      R.bad("is read-only");
  });
  countNames(Names, IU_ABI_MAX_MAPS, "map", "map", E);
}

void checkParams(Module &M, Findings &E) {
  std::vector<std::string> Names;
  each(M, Section::Param, [&](GlobalVariable &G) {
    Record R(G, "param", sizeof(iu_abi_param), E);
    if (!R.ok())
      return;
    Names.push_back(R.name());
    uint32_t Type = R.number(offsetof(iu_abi_param, type), 4);
    uint64_t Min = R.number(offsetof(iu_abi_param, min), 8);
    uint64_t Max = R.number(offsetof(iu_abi_param, max), 8);
    uint64_t Value = R.number(offsetof(iu_abi_param, value), 8);
    R.zero(offsetof(iu_abi_param, reserved), offsetof(iu_abi_param, min));
    if (Type < IU_PARAM_BOOL || Type > IU_PARAM_I64)
      R.bad("has unknown type " + Twine(Type));
    else if (Type == IU_PARAM_I64 ? int64_t(Value) < int64_t(Min) || int64_t(Value) > int64_t(Max)
                                  : Value < Min || Value > Max)
      R.bad("has a default outside its range");
    if (G.isConstant())
      R.bad("is read-only");
  });
  countNames(Names, IU_ABI_MAX_PARAMS, "param", "parameter", E);
}

void checkKRelocs(Module &M, Findings &E) {
  SmallPtrSet<GlobalVariable *, 8> Unused;
  size_t Count = 0;
  each(M, Section::KReloc, [&](GlobalVariable &G) {
    G.removeDeadConstantUsers();
    bool Read = any_of(G.users(), [](const User *U) { return !isa<ConstantArray>(U); });
    if (!Read) {
      Unused.insert(&G);
      return;
    }
    ++Count;
    Record R(G, "kreloc", sizeof(iu_abi_kreloc), E);
    if (!R.ok())
      return;
    uint32_t Kind = R.number(offsetof(iu_abi_kreloc, kind), 4);
    if (Kind < IU_KRELOC_FIELD || Kind > IU_KRELOC_TRACE)
      R.bad("has unknown kind " + Twine(Kind));
    if (!R.number(offsetof(iu_abi_kreloc, type), 1) ||
        R.number(offsetof(iu_abi_kreloc, type) + IU_ABI_CNAME_LEN - 1, 1) ||
        R.number(offsetof(iu_abi_kreloc, field) + IU_ABI_CNAME_LEN - 1, 1))
      R.bad("has no name, or one that is not terminated");
    R.zero(offsetof(iu_abi_kreloc, exists), sizeof(iu_abi_kreloc));
    if (G.isConstant())
      R.bad("is read-only");
  });
  if (Count > IU_ABI_MAX_KRELOCS)
    E.add("kreloc", Twine(Count) + " kernel relocations, at most " + Twine(IU_ABI_MAX_KRELOCS) + " are allowed");
  removeFromUsedLists(M, [&](Constant *C) {
    auto *G = dyn_cast<GlobalVariable>(C->stripPointerCasts());
    return G && Unused.contains(G);
  });
  for (GlobalVariable *G : Unused) {
    G->removeDeadConstantUsers();
    if (G->use_empty())
      G->eraseFromParent();
    else
      E.add("internal", "a kernel relocation that nothing reads has users");
  }
}

} // namespace iu
