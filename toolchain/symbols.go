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
	"iu_rt_map_push", "iu_rt_map_pop", "iu_rt_map_peek", "iu_rt_map_redirect",
	"iu_rt_ringbuf_reserve", "iu_rt_ringbuf_submit", "iu_rt_ringbuf_discard", "iu_rt_ringbuf_output",
	"iu_rt_perf_output", "iu_rt_stack_id",
	"iu_rt_irq_off", "iu_rt_irq_on", "iu_rt_rcu_lock", "iu_rt_rcu_unlock", "iu_rt_pool_take", "iu_rt_pool_give",
	"iu_rt_read_kernel", "iu_rt_read_user",
	"iu_rt_ktime_ns", "iu_rt_cpu", "iu_rt_random", "iu_rt_log",
	"iu_rt_xdp_adjust_head", "iu_rt_xdp_adjust_tail", "iu_rt_xdp_len", "iu_rt_xdp_load", "iu_rt_xdp_store", "iu_rt_xdp_redirect",
	"iu_rt_tc_pull", "iu_rt_tc_load", "iu_rt_tc_store", "iu_rt_tc_change_head", "iu_rt_tc_change_tail",
	"iu_rt_tc_adjust_room", "iu_rt_tc_vlan_push", "iu_rt_tc_vlan_pop", "iu_rt_tc_csum_l3", "iu_rt_tc_csum_l4",
	"iu_rt_tc_redirect", "iu_rt_tc_clone",
	"iu_rt_task_id", "iu_rt_task_user", "iu_rt_task_comm",
}

var kernelSymbols = []string{
	"memcpy", "memmove", "memset", "memcmp", "bcmp", "__x86_return_thunk",
	"__x86_indirect_thunk_rax", "__x86_indirect_thunk_rbx", "__x86_indirect_thunk_rcx",
	"__x86_indirect_thunk_rdx", "__x86_indirect_thunk_rsi", "__x86_indirect_thunk_rdi",
	"__x86_indirect_thunk_rbp", "__x86_indirect_thunk_r8", "__x86_indirect_thunk_r9",
	"__x86_indirect_thunk_r10", "__x86_indirect_thunk_r11", "__x86_indirect_thunk_r12",
	"__x86_indirect_thunk_r13", "__x86_indirect_thunk_r14", "__x86_indirect_thunk_r15",
}
