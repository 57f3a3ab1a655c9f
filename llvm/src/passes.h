// SPDX-License-Identifier: Apache-2.0
//
// The jobs, in the order in which they run. Each is a plain function over a
// module; plugin.cpp gives them pass names.
#ifndef IU_PASSES_H
#define IU_PASSES_H

#include "llvm/IR/PassManager.h"

#include "callgraph.h"
#include "diag.h"
#include "report.h"

namespace iu {

// Before optimisation: one module whose only roots are the markers and tables.
void prepare(llvm::Module &M, Findings &E);

enum class Stage { Input, Output };
// Refuses what is not known to be safe. At Stage::Input the markers are still
// there and nothing of the pass's own; at Stage::Output the other way round.
void audit(llvm::Module &M, Stage S, Findings &E);

struct Package {
  std::string Name, Version, ReportPath;
};
void createEntries(llvm::Module &M, Report &R, Findings &E);
void insertPolls(llvm::Module &M, llvm::FunctionAnalysisManager &FAM, const CallGraph &G, Report &R,
                 Findings &E);
void insertStackChecks(llvm::Module &M, const CallGraph &G, Report &R);
// After the above: fuel at the entries, .iu.prog and .iu.info.
void finishEntries(llvm::Module &M, const CallGraph &G, const Package &P, Report &R, Findings &E);

} // namespace iu

#endif
