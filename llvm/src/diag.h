// SPDX-License-Identifier: Apache-2.0
//
// Findings. A pass collects all of them, then stops once:
//
//   error: iu: inline-asm: inline assembly is not allowed at src/lib.rs:7:5 (in foo::bar)
#ifndef IU_DIAG_H
#define IU_DIAG_H

#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/Twine.h"
#include "llvm/IR/DebugLoc.h"
#include "llvm/IR/Function.h"
#include "llvm/IR/Instruction.h"

namespace iu {

class Findings {
public:
  void add(llvm::StringRef Rule, const llvm::Twine &What);
  void add(llvm::StringRef Rule, const llvm::Twine &What, const llvm::Function &F);
  void add(llvm::StringRef Rule, const llvm::Twine &What, const llvm::Instruction &I);

  bool empty() const { return Lines.empty(); }

  // Prints what was found and ends the process with status 1 and no output
  // file; returns if nothing was found.
  void stopIfAny() const;

private:
  void push(const llvm::Twine &Line);
  llvm::SmallVector<std::string, 8> Lines;
  llvm::StringSet<> Seen;
};

// "src/lib.rs:7:5", or empty if there is no debug information.
std::string where(const llvm::DebugLoc &L);
std::string where(const llvm::Function &F);
std::string where(const llvm::GlobalVariable &G);

// The demangled name of a symbol, or the symbol.
std::string pretty(llvm::StringRef Symbol);

} // namespace iu

#endif
