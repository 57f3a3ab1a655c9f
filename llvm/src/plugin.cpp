// SPDX-License-Identifier: Apache-2.0
//
// Names of the passes for `opt --load-pass-plugin iu-pass.so -passes=…`:
//
//   iu-prepare                              before optimisation
//   iu<name=N;version=V;report=PATH>        everything after it
//   iu-audit, iu-entry, iu-term, iu-stack   single jobs, for tests
//
// N and V go into .iu.info; report is optional.
#include "passes.h"
#include "runtime.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Analysis/LoopInfo.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Plugins/PassPlugin.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Transforms/Utils/LoopSimplify.h"

using namespace llvm;
using namespace iu;

namespace {

FunctionAnalysisManager &functions(Module &M, ModuleAnalysisManager &MAM) {
  return MAM.getResult<FunctionAnalysisManagerModuleProxy>(M).getManager();
}

// Every pass must run whatever opt-bisect or optnone say.
template <typename P> struct Required : PassInfoMixin<P> {
  static bool isRequired() { return true; }
};

struct PreparePass : Required<PreparePass> {
  PreservedAnalyses run(Module &M, ModuleAnalysisManager &) {
    Findings E;
    prepare(M, E);
    E.stopIfAny();
    return PreservedAnalyses::none();
  }
};

struct AuditPass : Required<AuditPass> {
  PreservedAnalyses run(Module &M, ModuleAnalysisManager &) {
    Findings E;
    audit(M, Stage::Input, E);
    E.stopIfAny();
    return PreservedAnalyses::all();
  }
};

struct TermPass : Required<TermPass> {
  PreservedAnalyses run(Module &M, ModuleAnalysisManager &MAM) {
    Findings E;
    Report R;
    CallGraph G(M);
    insertPolls(M, functions(M, MAM), G, R, E);
    E.stopIfAny();
    return PreservedAnalyses::none();
  }
};

struct StackPass : Required<StackPass> {
  PreservedAnalyses run(Module &M, ModuleAnalysisManager &) {
    Report R;
    CallGraph G(M);
    insertStackChecks(M, G, R);
    return PreservedAnalyses::none();
  }
};

struct EntryPass : Required<EntryPass> {
  Package P;
  explicit EntryPass(Package P) : P(std::move(P)) {}
  PreservedAnalyses run(Module &M, ModuleAnalysisManager &) {
    Findings E;
    Report R;
    createEntries(M, R, E);
    CallGraph G(M);
    finishEntries(M, G, P, R, E);
    E.stopIfAny();
    return PreservedAnalyses::none();
  }
};

struct IuPass : Required<IuPass> {
  Package P;
  explicit IuPass(Package P) : P(std::move(P)) {}

  PreservedAnalyses run(Module &M, ModuleAnalysisManager &MAM) {
    Findings E;
    Report R;
    audit(M, Stage::Input, E);
    E.stopIfAny();
    createEntries(M, R, E);
    harden(M);
    MAM.invalidate(M, PreservedAnalyses::none());

    CallGraph G(M);
    insertPolls(M, functions(M, MAM), G, R, E);
    insertStackChecks(M, G, R);
    finishEntries(M, G, P, R, E);

    std::string Broken;
    raw_string_ostream OS(Broken);
    if (verifyModule(M, &OS))
      E.add("internal", "the pass made invalid IR: " + Broken);
    audit(M, Stage::Output, E);
    E.stopIfAny();

    if (!P.ReportPath.empty())
      write(R.json(M, CallGraph(M)), E);
    E.stopIfAny();
    return PreservedAnalyses::none();
  }

  void write(StringRef Text, Findings &E) const {
    std::error_code EC;
    raw_fd_ostream OS(P.ReportPath, EC, sys::fs::OF_Text);
    if (!EC)
      OS << Text;
    OS.flush();
    if (EC || OS.has_error()) {
      E.add("report", "cannot write '" + P.ReportPath + "': " + (EC ? EC : OS.error()).message());
      OS.clear_error();
    }
  }
};

bool isPackageText(StringRef S, size_t Len) {
  return !S.empty() && S.size() < Len && all_of(S, [](char C) { return isPrint(C) && C != ' '; });
}

// "name=bmc;version=1.2.0;report=out.json"
bool parsePackage(StringRef Text, Package &P) {
  SmallVector<StringRef, 4> Parts;
  Text.split(Parts, ';', -1, false);
  for (StringRef Part : Parts) {
    auto [Key, Value] = Part.split('=');
    if (Key == "name")
      P.Name = Value.str();
    else if (Key == "version")
      P.Version = Value.str();
    else if (Key == "report")
      P.ReportPath = Value.str();
    else
      return false;
  }
  return isPackageText(P.Name, IU_ABI_PKG_LEN) && isPackageText(P.Version, IU_ABI_VER_LEN);
}

bool addPass(StringRef Name, ModulePassManager &MPM, ArrayRef<PassBuilder::PipelineElement>) {
  // One latch and a preheader per loop: without, scalar evolution proves less.
  auto Simplify = [&] { MPM.addPass(createModuleToFunctionPassAdaptor(LoopSimplifyPass())); };
  if (Name == "iu-prepare") {
    MPM.addPass(PreparePass());
  } else if (Name == "iu-audit") {
    MPM.addPass(AuditPass());
  } else if (Name == "iu-term") {
    Simplify();
    MPM.addPass(TermPass());
  } else if (Name == "iu-stack") {
    MPM.addPass(StackPass());
  } else if (Name.starts_with("iu<") || Name.starts_with("iu-entry<")) {
    Package P;
    if (!Name.ends_with(">") || !parsePackage(Name.drop_back().split('<').second, P)) {
      errs() << "error: iu: '" << Name << "' is not iu<name=N;version=V;report=PATH>\n";
      return false;
    }
    if (Name.starts_with("iu-entry<")) {
      MPM.addPass(EntryPass(P));
      return true;
    }
    Simplify();
    MPM.addPass(IuPass(P));
  } else {
    return false;
  }
  return true;
}

} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK LLVM_ATTRIBUTE_VISIBILITY_DEFAULT PassPluginLibraryInfo
 llvmGetPassPluginInfo() {
  return {LLVM_PLUGIN_API_VERSION, "iu", "1",
          [](PassBuilder &PB) { PB.registerPipelineParsingCallback(addPass); }};
}
