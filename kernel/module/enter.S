/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ways into a program and the way out of a fault. All of it is the hot path:
 * see docs/evaluation.md for what each costs.
 *
 * What calls these has found `prog` in a slot and counted the run (iu_run_slot).
 * Preemption is off from the first to the last instruction that touches what
 * belongs to a CPU. Programs keep the C ABI, so what they must preserve is saved
 * for the landing path alone and not read again otherwise.
 *
 * The stack is aligned to 8 and no more, as in the kernel; the pass says so to LLVM.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include <asm/unwind_hints.h>

#include "compat.h"
#include "enter.h"

#define CPU(field) PER_CPU_VAR(iu_cpu + (field))

#ifdef CONFIG_PREEMPT_COUNT
#define PREEMPT_OFF incl IU_PREEMPT_COUNT
#else
#define PREEMPT_OFF
#endif

/*
 * Back to the caller with the verdict in %eax. Zero means that somebody waits for
 * this CPU and may have it (include/asm/preempt.h).
 */
.macro PREEMPT_ON_AND_RETURN
#ifdef CONFIG_PREEMPT_COUNT
	decl	IU_PREEMPT_COUNT
	jz	.Lresched_\@
#endif
	RET
#ifdef CONFIG_PREEMPT_COUNT
.Lresched_\@:
	movl	%eax, %edi
	jmp	iu_resched
#endif
.endm

.macro SAVE_REST
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
.endm

/*
 * The rest of a struct iu_frame, below the saved registers, for the program in
 * %rsi. Whatever interrupts finds a whole frame, or none.
 */
.macro PUSH_FRAME
	subq	$IU_FRAME_REST, %rsp
	pushq	$0			/* nheld, cause */
	pushq	$0			/* start */
	pushq	%rsi			/* prog */
	pushq	CPU(IU_CPU_FRAME)	/* prev */
	movq	%rsp, CPU(IU_CPU_FRAME)
.endm

.macro CALL_PROGRAM
	movq	IU_PROG_ENTRY(%rsi), %rax
	CALL_NOSPEC rax
.endm

/* u32 iu_run_framed(void *ctx, struct iu_prog *prog): on the caller's stack. */
SYM_START(iu_run_framed, SYM_L_GLOBAL, SYM_A_ALIGN)
	ANNOTATE_NOENDBR
	PREEMPT_OFF
	pushq	%rbp
	SAVE_REST
	PUSH_FRAME
	CALL_PROGRAM
	cmpl	$0, IU_FRAME_HELD(%rsp)
	jne	.Lleft
	popq	CPU(IU_CPU_FRAME)
	addq	$(IU_FRAME_SIZE - 8), %rsp
	UNWIND_HINT_FUNC		/* all registers are the caller's, though not popped */
	PREEMPT_ON_AND_RETURN
.Lleft:
	movq	%rsp, %rdi
	call	iu_left
	movq	%rsp, %rdi
	call	iu_land
	ud2
SYM_FUNC_END(iu_run_framed)

/*
 * u32 iu_run_switched(void *ctx, struct iu_prog *prog) and
 * u32 iu_run_framed_switched(void *ctx, struct iu_prog *prog): on the runtime
 * stack of this CPU and of the level that it is on; if that is taken, see
 * iu_run_nested. While the program runs, %rbp is the frame pointer of this
 * function, which is how the unwinder gets from the other stack back to this one.
 */
.macro RUN_ON level framed
	movq	CPU(IU_CPU_FREE(\level)), %rcx
	testq	%rcx, %rcx
	jz	.Lnested_\@
	movq	$0, CPU(IU_CPU_FREE(\level))
	pushq	%rbp
	movq	%rsp, %rbp
.if \framed
	SAVE_REST
	PUSH_FRAME
.endif
	movq	%rcx, %rsp
	CALL_PROGRAM
.if \framed
	cmpl	$0, IU_FRAME_HELD - (IU_FRAME_SIZE - 8)(%rbp)
	jne	.Lleft_\@
.endif
	movq	%rsp, CPU(IU_CPU_FREE(\level))
.if \framed
	movq	-(IU_FRAME_SIZE - 8)(%rbp), %rdx
	movq	%rdx, CPU(IU_CPU_FRAME)
.endif
	leave
	UNWIND_HINT_FUNC
	PREEMPT_ON_AND_RETURN
.Lnested_\@:
	jmp	iu_run_nested
.if \framed
.Lleft_\@:
	leaq	-(IU_FRAME_SIZE - 8)(%rbp), %rdi
	call	iu_left
	leaq	-(IU_FRAME_SIZE - 8)(%rbp), %rdi
	call	iu_land
	ud2
.endif
.endm

/* The level is interrupt_context_level(). */
.macro RUN_SWITCHED framed
	PREEMPT_OFF
	movl	IU_PREEMPT_COUNT, %eax
	andl	$(IU_PC_SOFTIRQ | IU_PC_HARDIRQ | IU_PC_NMI), %eax
	jnz	.Lsoftirq_\@
	RUN_ON 0 \framed
.Lsoftirq_\@:
	cmpl	$IU_PC_SOFTIRQ, %eax
	jne	.Lhardirq_\@
	RUN_ON 1 \framed
.Lhardirq_\@:
	testl	$IU_PC_NMI, %eax
	jnz	.Lnmi_\@
	RUN_ON 2 \framed
.Lnmi_\@:
	RUN_ON 3 \framed
.endm

SYM_START(iu_run_switched, SYM_L_GLOBAL, SYM_A_ALIGN)
	ANNOTATE_NOENDBR
	RUN_SWITCHED 0
SYM_FUNC_END(iu_run_switched)

SYM_START(iu_run_framed_switched, SYM_L_GLOBAL, SYM_A_ALIGN)
	ANNOTATE_NOENDBR
	RUN_SWITCHED 1
SYM_FUNC_END(iu_run_framed_switched)

/*
 * void iu_land(struct iu_frame *frame): returns from the run that made the frame,
 * whatever was called since, with the verdict that iu_landed gives.
 */
SYM_CODE_START(iu_land)
	IU_UNWIND_STOP
	ANNOTATE_NOENDBR
	movq	%rdi, %rsp
	call	iu_landed
	addq	$IU_FRAME_SAVED, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	PREEMPT_ON_AND_RETURN
SYM_CODE_END(iu_land)

/* Where the watchdog sends a run that it has interrupted in its own code. */
SYM_CODE_START(iu_expire)
	IU_UNWIND_STOP
	ANNOTATE_NOENDBR
	pushq	$0			/* it does not return */
	jmp	iu_expired
SYM_CODE_END(iu_expire)

/*
 * void iu_rt_poll(void), as programs call it: with all registers preserved but
 * %r11 (LLVM's preserve_most), so that a loop need not mind its poll.
 */
SYM_FUNC_START(iu_rt_poll)
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	movq	64(%rsp), %rdi		/* where the poll is */
	call	iu_poll
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rax
	RET
SYM_FUNC_END(iu_rt_poll)

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
