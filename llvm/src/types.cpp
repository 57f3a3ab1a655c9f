// SPDX-License-Identifier: Apache-2.0
#include "types.h"
#include "diag.h"
#include "runtime.h"

#include "llvm/BinaryFormat/Dwarf.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/GlobalVariable.h"

#include <cstddef>

using namespace llvm;

namespace {

// Plain data has no pointers, so types end; how deep is the author's affair up to here.
constexpr unsigned MaxDepth = 16;

json::Object bytes(uint64_t Bits) { return json::Object{{"kind", "bytes"}, {"size", int64_t(Bits / 8)}}; }

json::Object describe(const DIType *T, unsigned Depth);

json::Object describeArray(const DICompositeType *T, unsigned Depth) {
  // [[u8; 2]; 3] is an array of an array; each has one range.
  const DINodeArray Ranges = T->getElements();
  if (Ranges.size() != 1 || !T->getBaseType())
    return bytes(T->getSizeInBits());
  uint64_t Element = T->getBaseType()->getSizeInBits();
  if (!Element || T->getSizeInBits() % Element)
    return bytes(T->getSizeInBits());
  return json::Object{{"kind", "array"},
                      {"size", int64_t(T->getSizeInBits() / 8)},
                      {"count", int64_t(T->getSizeInBits() / Element)},
                      {"of", describe(T->getBaseType(), Depth + 1)}};
}

json::Object describeStruct(const DICompositeType *T, unsigned Depth) {
  json::Array Members;
  for (const DINode *N : T->getElements()) {
    auto *M = dyn_cast<DIDerivedType>(N);
    if (!M || M->getTag() != dwarf::DW_TAG_member || M->isBitField() || M->getOffsetInBits() % 8)
      return bytes(T->getSizeInBits());
    if (!M->getBaseType() || !M->getBaseType()->getSizeInBits())
      continue; // PhantomData and the like
    Members.push_back(json::Object{{"name", M->getName()},
                                   {"offset", int64_t(M->getOffsetInBits() / 8)},
                                   {"type", describe(M->getBaseType(), Depth + 1)}});
  }
  if (Members.empty())
    return bytes(T->getSizeInBits());
  return json::Object{{"kind", "struct"},
                      {"name", T->getName()},
                      {"size", int64_t(T->getSizeInBits() / 8)},
                      {"members", std::move(Members)}};
}

json::Object describe(const DIType *T, unsigned Depth) {
  if (Depth > MaxDepth)
    return bytes(T->getSizeInBits());
  if (auto *B = dyn_cast<DIBasicType>(T)) {
    StringRef Encoding = "unsigned";
    if (B->getEncoding() == dwarf::DW_ATE_signed || B->getEncoding() == dwarf::DW_ATE_signed_char)
      Encoding = "signed";
    else if (B->getEncoding() == dwarf::DW_ATE_boolean)
      Encoding = "bool";
    return json::Object{{"kind", "int"},
                        {"name", B->getName()},
                        {"size", int64_t(B->getSizeInBits() / 8)},
                        {"encoding", Encoding}};
  }
  if (auto *C = dyn_cast<DICompositeType>(T)) {
    if (C->getTag() == dwarf::DW_TAG_array_type)
      return describeArray(C, Depth);
    if (C->getTag() == dwarf::DW_TAG_structure_type)
      return describeStruct(C, Depth);
  }
  return bytes(T->getSizeInBits());
}

// A name in a static of a table, at an offset of its first piece of constant bytes.
StringRef nameAt(const GlobalVariable &G, size_t Offset, size_t Len) {
  const Constant *C = G.getInitializer();
  while (C && !isa<ConstantDataSequential>(C) && C->getNumOperands())
    C = dyn_cast<Constant>(C->getOperand(0));
  auto *D = dyn_cast_or_null<ConstantDataSequential>(C);
  if (!D || !D->isString(8))
    return {};
  StringRef Bytes = D->getRawDataValues().substr(Offset, Len);
  return Bytes.take_front(std::min(Bytes.find('\0'), Bytes.size()));
}

} // namespace

namespace iu {

json::Array mapTypes(Module &M) {
  json::Array Out;
  for (GlobalVariable &G : M.globals()) {
    if (sectionOf(G) != Section::Map || !G.hasInitializer())
      continue;
    SmallVector<DIGlobalVariableExpression *, 1> Debug;
    G.getDebugInfo(Debug);
    const DICompositeType *T = nullptr;
    for (const DIGlobalVariableExpression *E : Debug)
      if (E->getVariable())
        T = dyn_cast_or_null<DICompositeType>(E->getVariable()->getType());
    StringRef Name = nameAt(G, 0, IU_ABI_NAME_LEN);
    if (!T || Name.empty())
      continue;
    json::Object Params;
    for (const DITemplateParameter *P : T->getTemplateParams()) {
      if (!isa<DITemplateTypeParameter>(P) || !P->getType())
        continue;
      json::Object D = describe(P->getType(), 0);
      D["align"] = int64_t(P->getType()->getAlignInBits() / 8);
      Params[P->getName()] = std::move(D);
    }
    if (!Params.empty())
      Out.push_back(json::Object{
          {"name", Name}, {"map", T->getName().split('<').first}, {"types", std::move(Params)}});
  }
  return Out;
}

json::Array relocPlaces(Module &M) {
  json::Array Out;
  for (GlobalVariable &G : M.globals()) {
    if (sectionOf(G) != Section::KReloc || !G.hasInitializer() || where(G).empty())
      continue;
    StringRef Type = nameAt(G, offsetof(iu_abi_kreloc, type), IU_ABI_CNAME_LEN);
    if (!Type.empty())
      Out.push_back(json::Object{{"type", Type},
                                 {"field", nameAt(G, offsetof(iu_abi_kreloc, field), IU_ABI_CNAME_LEN)},
                                 {"at", where(G)}});
  }
  return Out;
}

} // namespace iu
