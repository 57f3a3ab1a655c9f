// SPDX-License-Identifier: Apache-2.0
#include "callgraph.h"
#include "runtime.h"

#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"

using namespace llvm;

namespace {

// Every use of the constant ends in a marker, llvm.used or the program table.
bool onlyInTables(const User *U) {
  if (auto *G = dyn_cast<GlobalVariable>(U)) {
    iu::Section S = iu::sectionOf(*G);
    return S == iu::Section::Marker || S == iu::Section::Prog || S == iu::Section::Metadata;
  }
  if (!isa<Constant>(U) || isa<GlobalValue>(U))
    return false;
  for (const User *Up : U->users())
    if (!onlyInTables(Up))
      return false;
  return true;
}

} // namespace

namespace iu {

bool isAddressTaken(const Function &F) {
  for (const Use &U : F.uses()) {
    if (auto *CB = dyn_cast<CallBase>(U.getUser()))
      if (CB->isCallee(&U))
        continue;
    if (!onlyInTables(U.getUser()))
      return true;
  }
  return false;
}

CallGraph::CallGraph(Module &M) {
  for (Function &F : M) {
    if (F.isDeclaration())
      continue;
    CallNode &N = Nodes[&F];
    F.removeDeadConstantUsers();
    N.AddressTaken = isAddressTaken(F);
    if (N.AddressTaken)
      Taken.push_back(&F);
    for (Instruction &I : instructions(F)) {
      auto *CB = dyn_cast<CallBase>(&I);
      if (!CB || isa<IntrinsicInst>(CB) || CB->isInlineAsm())
        continue;
      auto *Callee = dyn_cast<Function>(CB->getCalledOperand()->stripPointerCastsAndAliases());
      if (!Callee)
        N.Indirect = true;
      else if (Callee->isDeclaration())
        N.External.insert(Callee);
      else
        N.Calls.insert(Callee);
    }
  }

  // Tarjan's algorithm, with a stack of our own: core's graphs may be deep.
  struct Visit {
    Function *F;
    SmallVector<Function *, 8> Next;
    unsigned At = 0;
  };
  DenseMap<Function *, unsigned> Index, Low;
  SmallPtrSet<Function *, 16> OnStack;
  SmallVector<Function *, 16> Stack;
  unsigned Clock = 0;
  for (Function &Root : M) {
    if (Root.isDeclaration() || Index.count(&Root))
      continue;
    SmallVector<Visit, 16> Work;
    auto Enter = [&](Function *F) {
      Index[F] = Low[F] = ++Clock;
      Stack.push_back(F);
      OnStack.insert(F);
      Work.push_back({F, successors(F)});
    };
    Enter(&Root);
    while (!Work.empty()) {
      Visit &V = Work.back();
      if (V.At < V.Next.size()) {
        Function *To = V.Next[V.At++];
        if (!Index.count(To))
          Enter(To);
        else if (OnStack.count(To))
          Low[V.F] = std::min(Low[V.F], Index[To]);
        continue;
      }
      Function *F = V.F;
      bool SelfCall = is_contained(V.Next, F);
      Work.pop_back();
      if (!Work.empty())
        Low[Work.back().F] = std::min(Low[Work.back().F], Low[F]);
      if (Low[F] != Index[F])
        continue;
      bool Cycle = SelfCall || Stack.back() != F;
      Function *Member;
      do {
        Member = Stack.pop_back_val();
        OnStack.erase(Member);
        Nodes[Member].Recursive = Cycle;
        Order.push_back(Member);
      } while (Member != F);
    }
  }
}

SmallVector<Function *, 8> CallGraph::successors(const Function *F) const {
  const CallNode &N = (*this)[F];
  SmallVector<Function *, 8> S(N.Calls.begin(), N.Calls.end());
  if (N.Indirect)
    for (Function *T : Taken)
      if (!N.Calls.count(T))
        S.push_back(T);
  return S;
}

SetVector<Function *> CallGraph::reachable(ArrayRef<Function *> From) const {
  SetVector<Function *> Seen;
  for (Function *F : From)
    Seen.insert(F);
  for (unsigned I = 0; I < Seen.size(); ++I)
    for (Function *To : successors(Seen[I]))
      Seen.insert(To);
  return Seen;
}

} // namespace iu
