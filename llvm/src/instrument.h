// SPDX-License-Identifier: Apache-2.0
//
// What polls, stack checks and entries share.
#ifndef IU_INSTRUMENT_H
#define IU_INSTRUMENT_H

#include "llvm/IR/DebugLoc.h"
#include "llvm/IR/Function.h"
#include "llvm/IR/IRBuilder.h"

namespace iu {

// Where code at a function's entry goes. Every alloca is moved before it: behind
// a split of the entry block it would become a dynamic one.
llvm::Instruction *afterAllocas(llvm::Function &F);

// The line of the function's opening, if it has debug information.
llvm::DebugLoc entryLocation(llvm::Function &F);

// Branches out of line to call Callee if Cond holds, at B's insertion point;
// comes back unless Callee does not return.
void callRarely(llvm::IRBuilder<> &B, llvm::Value *Cond, llvm::FunctionCallee Callee,
                llvm::StringRef BlockName);

} // namespace iu

#endif
