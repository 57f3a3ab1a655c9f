// SPDX-License-Identifier: Apache-2.0
#include "report.h"
#include "diag.h"
#include "types.h"

#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

// What the frame of F must be aligned to beyond the stack's 8 bytes, else 0. Code
// generation splits integers above 64 bits, but keeps their alignment where it spills them.
static int64_t overAlignment(Function &F) {
  auto Wide = [](const Type *T) { return T->isIntegerTy() && T->getIntegerBitWidth() > 64; };
  int64_t Most = 0;
  for (Instruction &I : instructions(F)) {
    if (auto *A = dyn_cast<AllocaInst>(&I))
      Most = std::max<int64_t>(Most, A->getAlign().value());
    if (Wide(I.getType()) || any_of(I.operand_values(), [&](Value *V) { return Wide(V->getType()); }))
      Most = std::max<int64_t>(Most, 16);
  }
  return Most > 8 ? Most : 0;
}

namespace iu {

std::string Report::json(Module &M, const CallGraph &G) {
  json::Array Out;
  int64_t Polls = 0, Checks = 0, Loops = 0, Polled = 0, Instructions = 0;
  for (Function &F : M) {
    if (F.isDeclaration())
      continue;
    const CallNode &N = G[&F];
    const FunctionReport &R = Functions[&F];
    json::Array Calls, External, LoopList;
    for (Function *C : N.Calls)
      Calls.push_back(C->getName());
    for (Function *C : N.External)
      External.push_back(C->getName());
    for (const LoopReport &L : R.Loops) {
      LoopList.push_back(json::Object{{"at", L.At}, {"polled", L.Polled}, {"why", L.Why}});
      ++Loops;
      Polled += L.Polled;
    }
    Polls += R.EntryPoll;
    Checks += R.StackCheck;
    Instructions += F.getInstructionCount();
    const DISubprogram *S = F.getSubprogram();
    Out.push_back(json::Object{
        {"symbol", F.getName()},
        {"name", pretty(F.getName())},
        {"file", S ? S->getFilename() : StringRef()},
        {"line", S ? int64_t(S->getLine()) : 0},
        {"calls", std::move(Calls)},
        {"external", std::move(External)},
        {"indirect", N.Indirect},
        {"addressTaken", N.AddressTaken},
        {"recursive", N.Recursive},
        {"align", overAlignment(F)},
        {"stackCheck", R.StackCheck},
        {"entryPoll", R.EntryPoll},
        {"loops", std::move(LoopList)},
    });
  }
  json::Array Progs;
  for (const ProgramReport &P : Programs)
    Progs.push_back(json::Object{{"name", P.Name},
                                 {"hook", int64_t(P.Hook)},
                                 {"onFault", int64_t(P.OnFault)},
                                 {"entry", P.Entry},
                                 {"polls", P.Polls},
                                 {"stackChecks", P.StackChecks}});
  json::Object Stats{{"functions", int64_t(Out.size())}, {"instructions", Instructions},
                     {"loops", Loops},                   {"loopsPolled", Polled},
                     {"entryPolls", Polls},              {"stackChecks", Checks}};
  std::string Text;
  raw_string_ostream OS(Text);
  OS << formatv("{0:2}", json::Value(json::Object{{"schema", 1},
                                                  {"functions", std::move(Out)},
                                                  {"programs", std::move(Progs)},
                                                  {"maps", mapTypes(M)},
                                                  {"relocs", relocPlaces(M)},
                                                  {"stats", std::move(Stats)}}))
     << "\n";
  return Text;
}

} // namespace iu
