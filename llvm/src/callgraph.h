// SPDX-License-Identifier: Apache-2.0
//
// The whole program's call graph. An object is closed: the runtime never calls
// back and hands out no function pointers, so an indirect call can reach only
// the functions of this module whose address is taken.
#ifndef IU_CALLGRAPH_H
#define IU_CALLGRAPH_H

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/IR/InstrTypes.h"
#include "llvm/IR/Module.h"

namespace iu {

struct CallNode {
  llvm::SetVector<llvm::Function *> Calls;    // defined functions, called directly
  llvm::SetVector<llvm::Function *> External; // the runtime's and the kernel's
  bool Indirect = false;                      // has a call of a function pointer
  bool AddressTaken = false;                  // an indirect call may reach it
  bool Recursive = false;                     // may be on the stack twice
};

class CallGraph {
public:
  explicit CallGraph(llvm::Module &M);

  const CallNode &operator[](const llvm::Function *F) const { return Nodes.find(F)->second; }
  // Callees before callers; the functions of a cycle in any order.
  llvm::ArrayRef<llvm::Function *> bottomUp() const { return Order; }
  llvm::ArrayRef<llvm::Function *> addressTaken() const { return Taken; }
  // Direct callees, and all that an indirect call may reach.
  llvm::SmallVector<llvm::Function *, 8> successors(const llvm::Function *F) const;
  // Everything that may run below these, themselves included.
  llvm::SetVector<llvm::Function *> reachable(llvm::ArrayRef<llvm::Function *> From) const;

private:
  llvm::DenseMap<const llvm::Function *, CallNode> Nodes;
  llvm::SmallVector<llvm::Function *, 16> Order;
  llvm::SmallVector<llvm::Function *, 8> Taken;
};

// The address of F is used for more than calling it. Markers and llvm.used do
// not count, nor do the program table's entries: only the runtime calls those.
bool isAddressTaken(const llvm::Function &F);

} // namespace iu

#endif
