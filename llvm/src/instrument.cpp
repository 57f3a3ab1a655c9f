// SPDX-License-Identifier: Apache-2.0
#include "instrument.h"

#include "llvm/IR/DebugInfoMetadata.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/MDBuilder.h"
#include "llvm/Transforms/Utils/BasicBlockUtils.h"

using namespace llvm;

namespace iu {

Instruction *afterAllocas(Function &F) {
  BasicBlock &Entry = F.getEntryBlock();
  SmallVector<AllocaInst *, 8> Allocas;
  for (Instruction &I : Entry)
    if (auto *A = dyn_cast<AllocaInst>(&I))
      Allocas.push_back(A);
  BasicBlock::iterator First = Entry.begin();
  for (AllocaInst *A : Allocas)
    if (&*First == A)
      ++First;
    else
      A->moveBefore(First);
  return &*First;
}

DebugLoc entryLocation(Function &F) {
  if (DISubprogram *SP = F.getSubprogram())
    return DILocation::get(F.getContext(), SP->getScopeLine(), 0, SP);
  return DebugLoc();
}

void callRarely(IRBuilder<> &B, Value *Cond, FunctionCallee Callee, StringRef BlockName) {
  bool Returns = !cast<Function>(Callee.getCallee())->doesNotReturn();
  DebugLoc DL = B.getCurrentDebugLocation();
  MDNode *Cold = MDBuilder(B.getContext()).createBranchWeights(1, 1u << 20);
  Instruction *Then = SplitBlockAndInsertIfThen(Cond, &*B.GetInsertPoint(), !Returns, Cold);
  Then->getParent()->setName(BlockName);
  B.SetInsertPoint(Then);
  B.SetCurrentDebugLocation(DL);
  CallInst *Call = B.CreateCall(Callee);
  Call->setDoesNotThrow();
  Call->setCallingConv(cast<Function>(Callee.getCallee())->getCallingConv());
  if (!Returns)
    Call->setDoesNotReturn();
}

} // namespace iu
