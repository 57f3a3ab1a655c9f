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

struct iu_helpers iu_helpers;

static const u8 xdp_tag[BPF_TAG_SIZE] = IU_HARVEST_XDP_TAG;
static u32 harvested;		/* under iu_mutex */

/* Distances of the helper calls, in order; how many there are. */
static u32 calls(const struct bpf_prog *prog, s32 *imm, u32 max)
{
	u32 i, n = 0;

	for (i = 0; i < prog->len; i++) {
		const struct bpf_insn *in = &prog->insnsi[i];

		if (in->code != (BPF_JMP | BPF_CALL) || in->src_reg)
			continue;
		if (n < max)
			imm[n] = in->imm;
		n++;
	}
	return n;
}

static iu_helper at(s32 imm)
{
	return (iu_helper)((unsigned long)__bpf_call_base + imm);
}

int iu_harvest(const struct iu_harvest *a)
{
	struct bpf_prog *prog;
	s32 imm[2];
	int ret = -EINVAL;

	if (a->reserved || a->hook != IU_HOOK_XDP)
		return -EINVAL;
	prog = bpf_prog_get_type_dev(a->fd, BPF_PROG_TYPE_XDP, false);
	if (IS_ERR(prog))
		return PTR_ERR(prog);
	if (!memcmp(prog->tag, xdp_tag, sizeof(xdp_tag)) &&
	    calls(prog, imm, ARRAY_SIZE(imm)) == ARRAY_SIZE(imm)) {
		mutex_lock(&iu_mutex);
		WRITE_ONCE(iu_helpers.xdp_adjust_head, at(imm[0]));
		WRITE_ONCE(iu_helpers.xdp_adjust_tail, at(imm[1]));
		harvested |= BIT(IU_HOOK_XDP);
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
