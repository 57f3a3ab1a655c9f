// SPDX-License-Identifier: Apache-2.0
//
// The statics that the macros of the crate `iu` leave: struct iu_abi_marker,
// iu_abi_map, iu_abi_param and iu_abi_kreloc. Read by byte offset, so that it does not matter
// into which constants rustc lowered them.
#ifndef IU_TABLES_H
#define IU_TABLES_H

#include "diag.h"

#include "llvm/IR/GlobalVariable.h"
#include "llvm/IR/Module.h"

namespace iu {

struct Marker {
  std::string Name;
  uint32_t Hook;
  int32_t OnFault;
  llvm::Function *Func;
  uint64_t Args;
  llvm::GlobalVariable *Global;
};

// The programs, sorted by name.
std::vector<Marker> readMarkers(llvm::Module &M, Findings &E);
void checkMaps(llvm::Module &M, Findings &E);
void checkParams(llvm::Module &M, Findings &E);
// Also drops those that no code refers to: what is not read need not exist.
void checkKRelocs(llvm::Module &M, Findings &E);

} // namespace iu

#endif
