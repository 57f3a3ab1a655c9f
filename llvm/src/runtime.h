// SPDX-License-Identifier: Apache-2.0
//
// The one place that knows iu_abi.h: which symbols of the runtime and of the
// kernel an object may refer to, with which types, and which sections it may
// have. Everything is taken from the header through its X macros.
#ifndef IU_RUNTIME_H
#define IU_RUNTIME_H

#include "llvm/ADT/StringRef.h"
#include "llvm/IR/DerivedTypes.h"
#include "llvm/IR/GlobalVariable.h"
#include "llvm/IR/Module.h"

#include "iu_abi.h"

namespace iu {

// Address space 256 is %gs on x86-64: the kernel's per-CPU segment.
constexpr unsigned PerCpuSpace = 256;

constexpr llvm::StringLiteral PollName = "iu_rt_poll";
constexpr llvm::StringLiteral OverflowName = "iu_rt_stack_overflow";
constexpr llvm::StringLiteral PanicName = "iu_rt_panic";

// What a mechanism costs is measured (bench/bmc_cost.go) with a plugin that is built
// without it for that alone. What is made with such a plugin is not safe.
struct Without {
#ifdef IU_BENCH_WITHOUT_POLLS
  static constexpr bool Polls = true; // nothing ends
#else
  static constexpr bool Polls = false;
#endif
#ifdef IU_BENCH_WITHOUT_PANICS
  static constexpr bool Panics = true; // what would panic is undefined
#else
  static constexpr bool Panics = false;
#endif
#ifdef IU_BENCH_WITHOUT_THUNKS
  static constexpr bool Thunks = true; // the kernel cannot patch returns
#else
  static constexpr bool Thunks = false;
#endif
};

// The IR type of a function of IU_RT_FUNCTIONS, or null if Name is not one.
llvm::FunctionType *runtimeType(llvm::LLVMContext &C, llvm::StringRef Name);

// Name is one of IU_KERNEL_SYMBOLS: memcpy and friends, and the thunks.
bool isKernelSymbol(llvm::StringRef Name);

// Functions that only the pass may call: their calls are how polls and checks
// are told from the author's code.
bool isPassOnly(llvm::StringRef Name);

llvm::FunctionCallee declarePoll(llvm::Module &M);
llvm::FunctionCallee declareOverflow(llvm::Module &M);
llvm::FunctionCallee declarePanic(llvm::Module &M);

// @iu_rt_fuel = external dso_local addrspace(256) global i32
llvm::GlobalVariable *declareFuel(llvm::Module &M);
llvm::GlobalVariable *findFuel(llvm::Module &M);

// What a section of a global variable is to the object format.
enum class Section { None, Plain, Marker, Map, Param, KReloc, Info, Prog, Metadata, Unknown };
Section sectionOf(const llvm::GlobalObject &G);

// Gives every defined function the same code generation attributes and the
// module the same flags, whatever its crate was compiled with:
//
//   before: define i32 @f() #0        #0 = { nonlazybind "probe-stack"="inline-asm" … }
//   after:  define i32 @f() #0        #0 = { fn_ret_thunk_extern noimplicitfloat noredzone
//                                            nounwind "no-jump-tables"="true" "target-cpu"="x86-64"
//                                            "target-features"="+soft-float,…,+retpoline-…" }
void harden(llvm::Module &M);
void hardenFunction(llvm::Function &F);

} // namespace iu

#endif
