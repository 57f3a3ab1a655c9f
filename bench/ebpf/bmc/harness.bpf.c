// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * A client of a few instructions: `generate` sends the frames that it is run on out of one
 * end of a veth pair, `spread` does so with another key each time, `answered` counts what comes back there. `echo`, at the other
 * end, stands for a server that costs nothing.
 */
#include "bmc.h"

static long (*bpf_redirect)(u32 ifindex, u64 flags) = (void *)23;
static u64 (*bpf_ktime_get_ns)(void) = (void *)5;

struct {
	__uint(type, MAP_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} out SEC(".maps");

struct {
	__uint(type, MAP_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} answers SEC(".maps");

/* When the first frame was sent since this was zero, and when the last answer came. */
struct {
	__uint(type, MAP_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, u64);
} times SEC(".maps");

inlined void sent(void)
{
	u32 zero = 0;
	u64 *at = bpf_map_lookup_elem(&times, &zero);

	if (at && !*at)
		*at = bpf_ktime_get_ns();
}

SEC("xdp") int generate(struct xdp_md *ctx)
{
	u32 zero = 0, *ifindex = bpf_map_lookup_elem(&out, &zero);

	sent();
	return ifindex ? bpf_redirect(*ifindex, 0) : XDP_DROP;
}

/* How many keys `spread` asks for in turn, and which is the next. */
struct {
	__uint(type, MAP_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, u32);
} turn SEC(".maps");

/* The digits at the end of a key of 16 bytes, which is all that is asked for; and the number of the request, a new one each time, as
 * clients number them: a cache may keep nothing from a reply that could be to another request.
 */
#define OFF_DIGITS	(OFF_KEY + 10)
#define OFF_REQUEST	(OFF_TEXT - 8)

SEC("xdp") int spread(struct xdp_md *ctx)
{
	u8 *p = (u8 *)(long)ctx->data, *end = (u8 *)(long)ctx->data_end;
	u32 zero = 0, one = 1, *ifindex = bpf_map_lookup_elem(&out, &zero);
	u32 *keys = bpf_map_lookup_elem(&turn, &zero), *at = bpf_map_lookup_elem(&turn, &one);
	u32 n;

	if (!ifindex || !keys || !at || p + OFF_DIGITS + 6 > end)
		return XDP_DROP;
	sent();
	n = *at;
	*at = n + 1 < *keys ? n + 1 : 0;
	p[OFF_REQUEST] = n >> 8;
	p[OFF_REQUEST + 1] = n;
	p[OFF_DIGITS + 2] = '0' + n / 1000 % 10;
	p[OFF_DIGITS + 3] = '0' + n / 100 % 10;
	p[OFF_DIGITS + 4] = '0' + n / 10 % 10;
	p[OFF_DIGITS + 5] = '0' + n % 10;
	return bpf_redirect(*ifindex, 0);
}

SEC("xdp") int answered(struct xdp_md *ctx)
{
	u8 *p = (u8 *)(long)ctx->data, *end = (u8 *)(long)ctx->data_end;
	u32 zero = 0, one = 1;
	u64 *n = bpf_map_lookup_elem(&answers, &zero), *at = bpf_map_lookup_elem(&times, &one);

	if (n && at && p + OFF_TEXT <= end && p[OFF_IP + 9] == 17) {
		*at = bpf_ktime_get_ns();
		__sync_fetch_and_add(n, 1);
	}
	return XDP_DROP;
}

SEC("xdp") int echo(struct xdp_md *ctx)
{
	return XDP_TX;
}

SEC("xdp") int empty(struct xdp_md *ctx)
{
	return XDP_PASS;
}
