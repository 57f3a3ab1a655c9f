// SPDX-License-Identifier: Apache-2.0
//
// Types of the maps' keys and values, out of the compiler's debug information: the crate's
// own types are the only description, and the toolchain makes BTF of it.
#ifndef IU_TYPES_H
#define IU_TYPES_H

#include "llvm/IR/Module.h"
#include "llvm/Support/JSON.h"

namespace iu {

// By map: its Rust type and the types of its parameters, as README.md says. A type that is
// no plain data, or not known, is "bytes".
llvm::json::Array mapTypes(llvm::Module &M);

// Where in the source each kernel relocation is from, if that is known.
llvm::json::Array relocPlaces(llvm::Module &M);

} // namespace iu

#endif
