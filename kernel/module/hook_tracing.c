// SPDX-License-Identifier: GPL-2.0-only
/*
 * fentry, fexit, tp_btf, lsm, tracepoint, perf_event: one class of kfuncs.
 *
 * Programs of the first five have no context type that a kfunc could name. So the
 * stub reads what it passes on, which the verifier checks against the target, and
 * hands over bytes on its stack. A hostile stub may hand over other bytes: they are
 * numbers to a program, which reaches memory behind them by copies that may fail.
 */
#include <linux/perf_event.h>
#include <linux/ptrace.h>

#include "compat.h"
#include "dispatch.h"
#include "kfunc.h"

/* The return value, then the arguments. */
static __always_inline u32 run_args(u64 *words, u32 size, u32 slot, enum iu_hook hook)
{
	struct iu_ctx_args ctx;

	if (unlikely(size < sizeof(u64) || size > (1 + IU_ARGS_MAX) * sizeof(u64) ||
		     !IS_ALIGNED((unsigned long)words, sizeof(u64))))
		return iu_refused(hook);
	ctx = (struct iu_ctx_args){
		.args = words + 1,
		.count = size / sizeof(u64) - 1,
		.ret = READ_ONCE(words[0]),
	};
	return iu_run_slot_reader(slot, hook, &ctx);
}

__bpf_kfunc_start_defs();

__bpf_kfunc notrace u32 iu_fentry_run(void *args, u32 args__sz, u32 slot)
{
	return run_args(args, args__sz, slot, IU_HOOK_FENTRY);
}

__bpf_kfunc notrace u32 iu_fexit_run(void *args, u32 args__sz, u32 slot)
{
	return run_args(args, args__sz, slot, IU_HOOK_FEXIT);
}

__bpf_kfunc notrace u32 iu_tp_btf_run(void *args, u32 args__sz, u32 slot)
{
	return run_args(args, args__sz, slot, IU_HOOK_TP_BTF);
}

__bpf_kfunc notrace u32 iu_lsm_run(void *args, u32 args__sz, u32 slot)
{
	return run_args(args, args__sz, slot, IU_HOOK_LSM);
}

#ifdef IU_KFUNC_FILTERS
__bpf_kfunc notrace u32 iu_tracepoint_run(void *record, u32 record__sz, u32 slot)
{
	struct iu_ctx_record ctx = { .data = record, .len = record__sz };

	if (unlikely(record__sz < sizeof(u64)))
		return iu_refused(IU_HOOK_TRACEPOINT);
	return iu_run_slot(slot, IU_HOOK_TRACEPOINT, &ctx);
}

__bpf_kfunc notrace u32 iu_perf_event_run(struct bpf_perf_event_data *ctx, u32 slot)
{
	const struct bpf_perf_event_data_kern *k = (const void *)ctx;
	struct iu_ctx_perf_event c = {
		.regs = (const void *)k->regs,
		.period = k->data->period,
		.addr = k->data->addr,
		.user = user_mode(k->regs),
	};

	return iu_run_slot(slot, IU_HOOK_PERF_EVENT, &c);
}
#endif

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(iu_tracing_kfuncs)
BTF_ID_FLAGS(func, iu_fentry_run)
BTF_ID_FLAGS(func, iu_fexit_run)
BTF_ID_FLAGS(func, iu_tp_btf_run)
BTF_ID_FLAGS(func, iu_lsm_run)
#ifdef IU_KFUNC_FILTERS
BTF_ID_FLAGS(func, iu_tracepoint_run)
BTF_ID_FLAGS(func, iu_perf_event_run)
#endif
BTF_KFUNCS_END(iu_tracing_kfuncs)

#ifdef IU_KFUNC_FILTERS
BTF_ID_LIST(iu_tracing_ids)
BTF_ID(func, iu_fentry_run)
BTF_ID(func, iu_fexit_run)
BTF_ID(func, iu_tp_btf_run)
BTF_ID(func, iu_lsm_run)
BTF_ID(func, iu_tracepoint_run)
BTF_ID(func, iu_perf_event_run)

static int filter(const struct bpf_prog *prog, u32 id)
{
	static const struct iu_kfunc_rule rules[] = {
		{ BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY },
		{ BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT },
		{ BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP },
		{ BPF_PROG_TYPE_LSM, BPF_LSM_MAC },
		{ BPF_PROG_TYPE_TRACEPOINT, -1 },
		{ BPF_PROG_TYPE_PERF_EVENT, -1 },
	};

	return iu_kfunc_filter(prog, id, iu_tracing_ids, rules, ARRAY_SIZE(rules));
}
#endif

static const struct btf_kfunc_id_set set = {
	.owner = THIS_MODULE,
	.set = &iu_tracing_kfuncs,
#ifdef IU_KFUNC_FILTERS
	.filter = filter,
#endif
};

int iu_hook_tracing_init(void)
{
	u32 hooks = BIT(IU_HOOK_FENTRY) | BIT(IU_HOOK_FEXIT) | BIT(IU_HOOK_TP_BTF) | BIT(IU_HOOK_LSM);

#ifdef IU_KFUNC_FILTERS
	hooks |= BIT(IU_HOOK_TRACEPOINT) | BIT(IU_HOOK_PERF_EVENT);
#endif
	return iu_kfuncs_offer(BPF_PROG_TYPE_TRACING, &set, hooks);
}
