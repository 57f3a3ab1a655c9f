// SPDX-License-Identifier: Apache-2.0
//
// What the passes did, for the Go toolchain. README.md describes the JSON.
#ifndef IU_REPORT_H
#define IU_REPORT_H

#include "llvm/ADT/MapVector.h"
#include "llvm/IR/Module.h"

#include "callgraph.h"

namespace iu {

struct LoopReport {
  std::string At; // file:line:col
  bool Polled;
  std::string Why;
};

struct FunctionReport {
  bool EntryPoll = false;
  bool StackCheck = false;
  std::vector<LoopReport> Loops;
};

struct ProgramReport {
  std::string Name;
  uint32_t Hook;
  int32_t OnFault;
  uint64_t Args;
  std::string Entry;
  bool Polls = false;
  bool StackChecks = false;
};

struct Report {
  llvm::DenseMap<const llvm::Function *, FunctionReport> Functions;
  std::vector<ProgramReport> Programs;

  std::string json(llvm::Module &M, const CallGraph &G);
};

} // namespace iu

#endif
