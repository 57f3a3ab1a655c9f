// SPDX-License-Identifier: Apache-2.0
//
// Termination polls. Work is counted in units: a loop iteration or a call costs
// one unit and one more per InstructionsPerUnit IR instructions; a call of the
// runtime costs RuntimeCallUnits. A poll pays in advance for the work up to the
// next one, so between two looks at the clock there are never many more than
// IU_FUEL units:
//
//   before: header:                         after: header:
//             %i = phi …                              %i = phi …
//             …                                       %1 = load i32, ptr addrspace(256) @iu_rt_fuel
//                                                     %2 = sub i32 %1, <units of an iteration>
//                                                     store i32 %2, ptr addrspace(256) @iu_rt_fuel
//                                                     %3 = icmp slt i32 %2, 0
//                                                     br i1 %3, %iu.expired, %body, !prof cold
//                                                   iu.expired:
//                                                     call preserve_mostcc void @iu_rt_poll()
//                                                     br %body
//
// which is `decl %gs:iu_rt_fuel; js`. What has a poll:
//   - the header of a loop (on the back edge, LLVM would no longer put the loop's
//     test at the bottom: one more jump per iteration), unless scalar evolution proves a constant maximum
//     of iterations and those cost at most MaxUnpolled units, inner loops and
//     callees included;
//   - the edges that close cycles which are not natural loops;
//   - the entry of every function that is in a cycle of the call graph, and of
//     a function whose work without a poll is above MaxCall units (long chains of
//     calls double their work at each step and need no loop).
// Afterwards every cycle of every function is looked for again: one that has
// neither a poll nor a proven bound is a bug in this file and stops the build.
#include "instrument.h"
#include "passes.h"
#include "runtime.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Analysis/LoopInfo.h"
#include "llvm/Analysis/ScalarEvolution.h"
#include "llvm/IR/CFG.h"
#include "llvm/IR/Dominators.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/Support/FormatVariadic.h"

using namespace llvm;
using namespace iu;

namespace {

constexpr uint64_t MaxUnpolled = 4096;     // of a loop with all that it runs
constexpr uint64_t MaxCall = 4 * MaxUnpolled; // of a function with all that it calls
constexpr uint64_t InstructionsPerUnit = 16;
constexpr uint64_t RuntimeCallUnits = 8;
// A poll never pays more than this at once, so that fuel cannot wrap.
constexpr uint64_t MaxPayment = 1u << 20;

using Edge = std::pair<BasicBlock *, BasicBlock *>;

// Sums saturate: a program of 2^64 units is as bad as an endless one.
uint64_t add(uint64_t A, uint64_t B) { return SaturatingAdd(A, B); }

class Poller {
public:
  Poller(Module &M, FunctionAnalysisManager &FAM, const CallGraph &G, Report &R, Findings &E)
      : M(M), FAM(FAM), G(G), R(R), E(E), Poll(nullptr) {}

  void run() {
    for (Function *F : G.bottomUp())
      function(*F);
  }

private:
  Module &M;
  FunctionAnalysisManager &FAM;
  const CallGraph &G;
  Report &R;
  Findings &E;
  FunctionCallee Poll;
  // Work of one call up to the callee's first poll or its end.
  DenseMap<const Function *, uint64_t> CallCost;

  // State of one function.
  SetVector<Edge> Proven;
  MapVector<BasicBlock *, uint64_t> Headers; // of loops that poll, and what an iteration costs
  SetVector<Edge> Closing;                   // of cycles that are no natural loops

  uint64_t costOf(const CallBase &CB) const {
    if (isa<IntrinsicInst>(CB))
      return isa<MemIntrinsic>(CB) ? 2 : 0;
    auto *F = dyn_cast<Function>(CB.getCalledOperand()->stripPointerCasts());
    if (F && F->isDeclaration())
      return RuntimeCallUnits;
    if (F)
      return calleeCost(F);
    uint64_t Most = 1;
    for (const Function *T : G.addressTaken())
      Most = std::max(Most, calleeCost(T));
    return Most;
  }

  uint64_t calleeCost(const Function *F) const {
    // Not there yet: in the same cycle, so it polls at its entry.
    auto It = CallCost.find(F);
    return It == CallCost.end() ? 1 : It->second;
  }

  // Of the instructions in these blocks alone.
  template <typename Blocks> uint64_t straight(const Blocks &BBs) const {
    uint64_t Calls = 0, Count = 0;
    for (const BasicBlock *BB : BBs)
      for (const Instruction &I : *BB) {
        ++Count;
        if (auto *CB = dyn_cast<CallBase>(&I))
          Calls = add(Calls, costOf(*CB));
      }
    return add(Calls, 1 + Count / InstructionsPerUnit);
  }

  static std::string at(const Loop &L) {
    std::string S = where(L.getStartLoc());
    return S.empty() ? where(*L.getHeader()->getParent()) : S;
  }

  // Decides on L and what is in it; returns what L costs its surroundings.
  uint64_t loop(Loop &L, LoopInfo &LI, ScalarEvolution &SE, FunctionReport &FR) {
    uint64_t Inner = 0;
    for (Loop *Sub : L)
      Inner = add(Inner, loop(*Sub, LI, SE, FR));
    SmallVector<BasicBlock *, 16> Own;
    for (BasicBlock *BB : L.blocks())
      if (LI.getLoopFor(BB) == &L)
        Own.push_back(BB);
    uint64_t Body = add(Inner, straight(Own));
    SmallVector<BasicBlock *, 2> Latches;
    L.getLoopLatches(Latches);

    unsigned Trips = SE.getSmallConstantMaxTripCount(&L);
    uint64_t Total = SaturatingMultiply<uint64_t>(Trips, Body);
    std::string Why;
    if (Trips != 0 && Total <= MaxUnpolled) {
      for (BasicBlock *Latch : Latches)
        Proven.insert({Latch, L.getHeader()});
      FR.Loops.push_back({at(L), false,
                          formatv("at most {0} iterations of {1} units", Trips, Body).str()});
      return Total;
    }
    Headers[L.getHeader()] = Body;
    FR.Loops.push_back(
        {at(L), true,
         Trips == 0 ? "no constant bound is known"
                    : formatv("at most {0} iterations of {1} units, more than {2}", Trips, Body,
                              MaxUnpolled)
                          .str()});
    return 1; // every iteration pays for itself
  }

  // Edges that close a cycle although no edge is taken that IsCut says is cut.
  template <typename Cut> static SmallVector<Edge, 4> openCycles(Function &F, Cut IsCut) {
    enum { White, Grey, Black };
    DenseMap<BasicBlock *, int> Color;
    SmallVector<Edge, 4> Found;
    SmallVector<std::pair<BasicBlock *, unsigned>, 32> Work;
    auto Enter = [&](BasicBlock *BB) {
      Color[BB] = Grey;
      Work.push_back({BB, 0});
    };
    // Also from blocks that cannot be reached: they cost nothing to check.
    for (BasicBlock &Root : F) {
      if (Color.lookup(&Root) != White)
        continue;
      Enter(&Root);
      while (!Work.empty()) {
        BasicBlock *BB = Work.back().first;
        if (Work.back().second == BB->getTerminator()->getNumSuccessors()) {
          Color[BB] = Black;
          Work.pop_back();
          continue;
        }
        BasicBlock *To = BB->getTerminator()->getSuccessor(Work.back().second++);
        if (IsCut(Edge{BB, To}))
          continue;
        int C = Color.lookup(To);
        if (C == Grey)
          Found.push_back({BB, To});
        else if (C == White)
          Enter(To);
      }
    }
    return Found;
  }

  // The block counts fuel: looked up in the code, not in what was planned.
  bool polls(const BasicBlock *BB) const {
    const GlobalVariable *Fuel = findFuel(M);
    return any_of(*BB, [&](const Instruction &I) {
      auto *S = dyn_cast<StoreInst>(&I);
      return S && Fuel && S->getPointerOperand() == Fuel;
    });
  }

  // Emits a poll before At.
  void emit(Instruction *At, uint64_t Units, const DebugLoc &DL) {
    if (Without::Polls)
      return;
    if (!Poll)
      Poll = declarePoll(M);
    GlobalVariable *Fuel = declareFuel(M);
    IRBuilder<> B(At);
    B.SetCurrentDebugLocation(DL);
    Value *Old = B.CreateLoad(B.getInt32Ty(), Fuel);
    Value *New = B.CreateSub(Old, B.getInt32(std::min(Units, MaxPayment)));
    B.CreateStore(New, Fuel);
    Value *Expired = B.CreateICmpSLT(New, B.getInt32(0));
    callRarely(B, Expired, Poll, "iu.expired");
  }

  void function(Function &F) {
    FunctionReport &FR = R.Functions[&F];
    LoopInfo &LI = FAM.getResult<LoopAnalysis>(F);
    ScalarEvolution &SE = FAM.getResult<ScalarEvolutionAnalysis>(F);
    Proven.clear();
    Headers.clear();
    Closing.clear();

    uint64_t Cost = 0;
    for (Loop *L : LI)
      Cost = add(Cost, loop(*L, LI, SE, FR));
    SmallVector<BasicBlock *, 32> Own;
    for (BasicBlock &BB : F)
      if (!LI.getLoopFor(&BB))
        Own.push_back(&BB);
    Cost = add(Cost, straight(Own));

    auto Planned = [&](Edge Ed) { return Proven.contains(Ed) || Headers.count(Ed.first); };
    for (Edge Ed : openCycles(F, Planned)) {
      Closing.insert(Ed);
      FR.Loops.push_back({where(Ed.first->getTerminator()->getDebugLoc()), true,
                          "not a natural loop"});
    }

    bool EntryPoll = G[&F].Recursive || Cost > MaxCall;
    CallCost[&F] = EntryPoll ? 1 : Cost;
    FR.EntryPoll = EntryPoll && !Without::Polls;
    for (LoopReport &L : FR.Loops)
      L.Polled &= !Without::Polls;

    // Only now is the function changed: the analyses above are still right.
    // What is between two passes of a closing edge may be the whole function.
    for (auto [From, To] : Closing)
      edge(From, To, Cost);
    for (auto &[Header, Units] : Headers)
      emit(&*Header->getFirstNonPHIOrDbg(), Units, Header->getTerminator()->getDebugLoc());
    if (EntryPoll)
      emit(afterAllocas(F), Cost, entryLocation(F));
    if (EntryPoll || !Headers.empty() || !Closing.empty())
      FAM.invalidate(F, PreservedAnalyses::none());

    auto Done = [&](Edge Ed) { return Proven.contains(Ed) || polls(Ed.first); };
    if (!Without::Polls && !openCycles(F, Done).empty())
      E.add("internal", "a cycle has neither a poll nor a proven bound", F);
  }

  void edge(BasicBlock *From, BasicBlock *To, uint64_t Units) {
    Instruction *Term = From->getTerminator();
    // A switch may have several edges to To: they all go through one poll.
    auto *Mid = BasicBlock::Create(M.getContext(), "iu.poll", To->getParent(), From->getNextNode());
    IRBuilder<> B(Mid);
    B.SetCurrentDebugLocation(Term->getDebugLoc());
    Instruction *Jump = B.CreateBr(To);
    for (unsigned N = 0; N < Term->getNumSuccessors(); ++N)
      if (Term->getSuccessor(N) == To)
        Term->setSuccessor(N, Mid);
    for (PHINode &P : To->phis()) {
      int First = P.getBasicBlockIndex(From);
      P.setIncomingBlock(First, Mid);
      for (int N = P.getNumIncomingValues() - 1; N > First; --N)
        if (P.getIncomingBlock(N) == From)
          P.removeIncomingValue(N, false);
    }
    emit(Jump, Units, Term->getDebugLoc());
  }
};

} // namespace

namespace iu {

void insertPolls(Module &M, FunctionAnalysisManager &FAM, const CallGraph &G, Report &R,
                 Findings &E) {
  Poller(M, FAM, G, R, E).run();
}

} // namespace iu
