// SPDX-License-Identifier: Apache-2.0
//
// Stack checks, where the depth cannot be bounded by adding up frames:
//
//   before: define i32 @f() { entry: … }
//   after:  define i32 @f() {
//           entry:
//             %sp = call i64 @llvm.read_register.i64(metadata !"rsp")
//             %left = and i64 %sp, IU_STACK_SIZE - 1
//             %low = icmp ult i64 %left, IU_STACK_RESERVE
//             br i1 %low, %iu.overflow, %body, !prof cold
//           iu.overflow:
//             call void @iu_rt_stack_overflow()
//             unreachable
//
// (mov, and, cmp, jb). A function in a cycle of the call graph or with an
// indirect call has a check, and so has every function that these may reach and
// that calls a function itself. Hence below a passed check there is at most
// one frame without one, a leaf's, and the reserve is made for that. The check
// reads the stack pointer after the frame was made, so a frame (at most
// IU_FRAME_MAX) is taken off the reserve before its own check too.
#include "instrument.h"
#include "passes.h"
#include "runtime.h"

#include "llvm/IR/IRBuilder.h"

using namespace llvm;
using namespace iu;

// Two frames and a page for a helper and an exception.
static_assert(IU_STACK_RESERVE >= 3 * IU_FRAME_MAX, "the reserve is too small for the checks");
static_assert((IU_STACK_SIZE & (IU_STACK_SIZE - 1)) == 0, "stacks are aligned to their size");

namespace {

void emitCheck(Function &F, FunctionCallee Overflow) {
  LLVMContext &C = F.getContext();
  IRBuilder<> B(afterAllocas(F));
  B.SetCurrentDebugLocation(entryLocation(F));
  auto *Rsp = MetadataAsValue::get(C, MDNode::get(C, MDString::get(C, "rsp")));
  Value *Sp = B.CreateIntrinsic(Intrinsic::read_register, {B.getInt64Ty()}, {Rsp});
  Value *Left = B.CreateAnd(Sp, B.getInt64(IU_STACK_SIZE - 1));
  Value *Low = B.CreateICmpULT(Left, B.getInt64(IU_STACK_RESERVE));
  callRarely(B, Low, Overflow, "iu.overflow");
}

} // namespace

namespace iu {

void insertStackChecks(Module &M, const CallGraph &G, Report &R) {
  SmallVector<Function *, 16> Unbounded;
  for (Function *F : G.bottomUp())
    if (G[F].Recursive || G[F].Indirect)
      Unbounded.push_back(F);
  if (Unbounded.empty())
    return;
  FunctionCallee Overflow = declareOverflow(M);
  for (Function *F : G.reachable(Unbounded)) {
    if (G[F].Calls.empty() && !G[F].Indirect)
      continue;
    emitCheck(*F, Overflow);
    R.Functions[F].StackCheck = true;
  }
}

} // namespace iu
