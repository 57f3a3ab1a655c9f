// SPDX-License-Identifier: GPL-2.0-only
/*
 * Helpers are not exported, but the verifier writes the distance from the
 * exported __bpf_call_base into each call it has accepted. A program whose
 * instructions we know by heart, that is by their tag, therefore tells where its
 * helpers are, and that its hook may call them.
 */
#include "harvest.h"

#include <linux/bpf.h>
#include <linux/err.h>
#include <linux/filter.h>
#include <linux/mutex.h>
#include <linux/string.h>

#include "ext.h"
#include "harvest_tags.h"

#define COUNT(name) + 1
#define MOST	16
static_assert((0 IU_HELPERS_XDP(COUNT)) <= MOST);
static_assert((0 IU_HELPERS_TC(COUNT)) <= MOST);
static_assert((0 IU_HELPERS_KPROBE(COUNT)) <= MOST);

#define DEFINE_HELPER(name) DEFINE_STATIC_CALL(iu_helper_##name, iu_no_helper);
IU_HELPERS(DEFINE_HELPER)

static u32 harvested;		/* under iu_mutex */

u64 iu_no_helper(u64 a, u64 b, u64 c, u64 d, u64 e)
{
	return -EOPNOTSUPP;
}

#define UPDATE(name) static_call_update(iu_helper_##name, *at++);

static void take_xdp(iu_helper *at)
{
	IU_HELPERS_XDP(UPDATE)
}

static void take_tc(iu_helper *at)
{
	IU_HELPERS_TC(UPDATE)
}

static void take_kprobe(iu_helper *at)
{
	IU_HELPERS_KPROBE(UPDATE)
}

static const struct source {
	u32 hook;
	enum bpf_prog_type type;
	u8 tag[BPF_TAG_SIZE];
	u32 helpers;
	void (*take)(iu_helper *at);
} sources[] = {
	{ IU_HOOK_XDP, BPF_PROG_TYPE_XDP, IU_HARVEST_XDP_TAG, 0 IU_HELPERS_XDP(COUNT), take_xdp },
	{ IU_HOOK_TC, BPF_PROG_TYPE_SCHED_CLS, IU_HARVEST_TC_TAG, 0 IU_HELPERS_TC(COUNT), take_tc },
	{ IU_HOOK_KPROBE, BPF_PROG_TYPE_KPROBE, IU_HARVEST_KPROBE_TAG,
	  0 IU_HELPERS_KPROBE(COUNT), take_kprobe },
};

/* The helpers called, in order; how many calls there are. */
static u32 calls(const struct bpf_prog *prog, iu_helper at[MOST])
{
	u32 i, n = 0;

	for (i = 0; i < prog->len; i++) {
		const struct bpf_insn *in = &prog->insnsi[i];

		if (in->code != (BPF_JMP | BPF_CALL) || in->src_reg)
			continue;
		if (n < MOST)
			at[n] = (iu_helper)((unsigned long)__bpf_call_base + in->imm);
		n++;
	}
	return n;
}

int iu_harvest(const struct iu_harvest *a)
{
	const struct source *s = NULL;
	iu_helper at[MOST];
	struct bpf_prog *prog;
	int ret = -EINVAL;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(sources); i++)
		if (sources[i].hook == a->hook)
			s = &sources[i];
	if (a->reserved || !s)
		return -EINVAL;
	prog = bpf_prog_get_type_dev(a->fd, s->type, false);
	if (IS_ERR(prog))
		return PTR_ERR(prog);
	if (!memcmp(prog->tag, s->tag, sizeof(s->tag)) && calls(prog, at) == s->helpers) {
		mutex_lock(&iu_mutex);
		s->take(at);
		harvested |= BIT(s->hook);
		mutex_unlock(&iu_mutex);
		ret = 0;
	}
	bpf_prog_put(prog);
	return ret;
}

u32 iu_harvested(void)
{
	u32 mask;

	mutex_lock(&iu_mutex);
	mask = harvested;
	mutex_unlock(&iu_mutex);
	return mask;
}
