/* SPDX-License-Identifier: GPL-2.0-only */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/nospec-branch.h>
#include <asm/unwind_hints.h>

#include "compat.h"

/*
 * u32 iu_enter(void *ctx, unsigned long entry, struct iu_frame *frame, unsigned long top)
 *
 * Calls entry(ctx) with the stack at `top`, or on this stack if `top` is 0. Both
 * are aligned to 16 as the C ABI has it and the kernel does not.
 *
 * While the program runs, %rbp is the frame pointer of this function, which is
 * how the unwinder gets from the other stack back to this one.
 */
SYM_FUNC_START(iu_enter)
	pushq	%rbp
	movq	%rsp, %rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, (%rdx)
	testq	%rcx, %rcx
	cmovzq	%rsp, %rcx
	andq	$-16, %rcx
	movq	%rcx, %rsp
	CALL_NOSPEC rsi
	leaq	-40(%rbp), %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	RET
SYM_FUNC_END(iu_enter)

/*
 * void iu_land(unsigned long sp): returns from the iu_enter that saved `sp`,
 * whatever was called since. The value returned means nothing.
 */
SYM_CODE_START(iu_land)
	IU_UNWIND_STOP
	ANNOTATE_NOENDBR
	movq	%rdi, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	RET
SYM_CODE_END(iu_land)

/*
 * Two returns that nobody runs: what the kernel made of them is what it makes of
 * an extension's returns. Two, because the mitigation for indirect target
 * selection treats the lower and the upper half of a cache line differently.
 */
	.balign 64, 0xcc
SYM_START(iu_return_low, SYM_L_GLOBAL, SYM_A_NONE)
	ANNOTATE_NOENDBR
	RET
SYM_FUNC_END(iu_return_low)
	.balign 32, 0xcc
SYM_START(iu_return_high, SYM_L_GLOBAL, SYM_A_NONE)
	ANNOTATE_NOENDBR
	RET
SYM_FUNC_END(iu_return_high)
	.balign 32, 0xcc
