// SPDX-License-Identifier: Apache-2.0
#include "diag.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Demangle/Demangle.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/GlobalVariable.h"
#include "llvm/Support/Signals.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdlib>

using namespace llvm;

namespace iu {

namespace {

// The crate whose function this is: the outermost namespace.
StringRef crateOf(const DILocation *D) {
  StringRef Crate;
  const DIScope *S = D->getScope();
  for (unsigned Depth = 0; S && Depth < 256; ++Depth, S = S->getScope())
    if (auto *N = dyn_cast<DINamespace>(S))
      Crate = N->getName();
  return Crate;
}

} // namespace

std::string where(const DebugLoc &L) {
  if (!L)
    return "";
  // The author's line, not core's or iu's that was inlined there.
  const DILocation *D = L.get();
  while (is_contained({"core", "iu", "__rustc"}, crateOf(D)) && D->getInlinedAt())
    D = D->getInlinedAt();
  return (D->getFilename() + ":" + Twine(D->getLine()) + ":" + Twine(D->getColumn())).str();
}

std::string where(const Function &F) {
  if (const DISubprogram *S = F.getSubprogram())
    return (S->getFilename() + ":" + Twine(S->getLine())).str();
  return "";
}

std::string where(const GlobalVariable &G) {
  SmallVector<DIGlobalVariableExpression *, 1> Debug;
  G.getDebugInfo(Debug);
  for (const DIGlobalVariableExpression *E : Debug)
    if (const DIGlobalVariable *V = E->getVariable())
      return (V->getFilename() + ":" + Twine(V->getLine())).str();
  return "";
}

std::string pretty(StringRef Symbol) { return demangle(std::string_view(Symbol.data(), Symbol.size())); }

void Findings::push(const Twine &Line) {
  std::string S = Line.str();
  if (Seen.insert(S).second)
    Lines.push_back(std::move(S));
}

void Findings::add(StringRef Rule, const Twine &What) { push(Rule + ": " + What); }

void Findings::add(StringRef Rule, const Twine &What, const Function &F) {
  std::string At = where(F);
  push(Rule + ": " + What + (At.empty() ? "" : " at ") + At + " (in " + pretty(F.getName()) + ")");
}

void Findings::add(StringRef Rule, const Twine &What, const Instruction &I) {
  std::string At = where(I.getDebugLoc());
  if (At.empty())
    return add(Rule, What, *I.getFunction());
  push(Rule + ": " + What + " at " + At + " (in " + pretty(I.getFunction()->getName()) + ")");
}

void Findings::stopIfAny() const {
  if (Lines.empty())
    return;
  for (const std::string &L : Lines)
    errs() << "error: iu: " << L << "\n";
  // Removes the half-made output, as LLVM's own fatal errors do.
  sys::RunInterruptHandlers();
  std::exit(1);
}

} // namespace iu
