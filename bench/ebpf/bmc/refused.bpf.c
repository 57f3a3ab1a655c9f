// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * What one would write first, each refused by the verifier of the kernels measured
 * here; `make bench` loads them and keeps the logs in docs/bmc-verifier.md.
 */
#include "bmc.h"

/* The reply is made longer while the item cannot change. */
SEC("xdp") int helper_under_lock(struct xdp_md *ctx)
{
	struct entry *e = entry_of(1);

	if (!e)
		return XDP_PASS;
	bpf_spin_lock(&e->lock);
	bpf_xdp_adjust_tail(ctx, e->len);
	bpf_spin_unlock(&e->lock);
	return XDP_TX;
}

/* Two items are looked at together. */
SEC("xdp") int two_locks(struct xdp_md *ctx)
{
	struct entry *a = entry_of(1), *b = entry_of(2);

	if (!a || !b)
		return XDP_PASS;
	bpf_spin_lock(&a->lock);
	bpf_spin_lock(&b->lock);
	a->len = b->len;
	bpf_spin_unlock(&b->lock);
	bpf_spin_unlock(&a->lock);
	return XDP_PASS;
}

/* The text is copied with a call, as long as it is. */
SEC("xdp") int copy_of_any_length(struct xdp_md *ctx)
{
	u8 *p = (u8 *)(long)ctx->data, *end = (u8 *)(long)ctx->data_end;
	struct entry *e = entry_of(1);

	if (!e)
		return XDP_PASS;
	for (u32 i = 0; i < e->len && p + i < end; i++)
		p[i] = e->text[i];
	return XDP_TX;
}

/* Every byte of a segment is looked at in one run, and every `set ` acted upon. */
SEC("xdp") int scan_in_one(struct xdp_md *ctx)
{
	u8 *p = (u8 *)(long)ctx->data, *end = (u8 *)(long)ctx->data_end;
	u64 hash = 0;
	u32 state = 0;

	for (u32 i = OFF_KEY; i < 1500; i++) {
		if (p + i + 1 > end)
			break;
		u8 c = p[i];

		if (state < 4) {
			state = c == "set "[state & 3] ? state + 1 : 0;
			hash = SEED;
		} else if (c > ' ') {
			hash = mix(hash ^ c);
			state = state < 255 ? state + 1 : 0;
		} else {
			struct entry *e = entry_of(hash);

			state = 0;
			if (e) {
				bpf_spin_lock(&e->lock);
				e->len = 0;
				bpf_spin_unlock(&e->lock);
			}
		}
	}
	return XDP_PASS;
}
