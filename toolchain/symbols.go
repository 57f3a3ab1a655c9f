// SPDX-License-Identifier: Apache-2.0

package toolchain

// Mirror of what kernel/module/iu_abi.h lets an object refer to and of its limits
// for stacks; a test compares.
const (
	stackSize    = 32768
	stackReserve = 12288
	frameMax     = 4096

	fuelSymbol = "iu_rt_fuel"
)

var runtimeSymbols = []string{
	"iu_rt_poll", "iu_rt_stack_overflow", "iu_rt_panic",
	"iu_rt_map_lookup", "iu_rt_map_update", "iu_rt_map_delete", "iu_rt_lock", "iu_rt_unlock",
	"iu_rt_ktime_ns", "iu_rt_cpu", "iu_rt_random", "iu_rt_log",
	"iu_rt_xdp_adjust_head", "iu_rt_xdp_adjust_tail",
	"iu_rt_tc_pull", "iu_rt_tc_load", "iu_rt_tc_store",
}

var kernelSymbols = []string{
	"memcpy", "memmove", "memset", "memcmp", "bcmp", "__x86_return_thunk",
	"__x86_indirect_thunk_rax", "__x86_indirect_thunk_rbx", "__x86_indirect_thunk_rcx",
	"__x86_indirect_thunk_rdx", "__x86_indirect_thunk_rsi", "__x86_indirect_thunk_rdi",
	"__x86_indirect_thunk_rbp", "__x86_indirect_thunk_r8", "__x86_indirect_thunk_r9",
	"__x86_indirect_thunk_r10", "__x86_indirect_thunk_r11", "__x86_indirect_thunk_r12",
	"__x86_indirect_thunk_r13", "__x86_indirect_thunk_r14", "__x86_indirect_thunk_r15",
}
