// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * The work of ext/work and ext/rewrite in eBPF, and the empty program that every
 * figure starts from. Self-contained, so that it needs no headers.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name)	__attribute__((section(name), used))
#define __uint(name, value)	int (*name)[value]
#define __type(name, type)	type *name

struct xdp_md {
	u32 data;
	u32 data_end;
};
struct bpf_spin_lock {
	u32 val;
};

enum { XDP_ABORTED = 0, XDP_PASS = 2, XDP_TX = 3 };
enum { MAP_HASH = 1, MAP_ARRAY = 2, MAP_PROG_ARRAY = 3, MAP_RINGBUF = 27 };

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_tail_call)(void *ctx, void *map, u32 index) = (void *)12;
static long (*bpf_spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
static long (*bpf_spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;
static void *(*bpf_ringbuf_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*bpf_ringbuf_submit)(void *sample, u64 flags) = (void *)132;

struct locked {
	struct bpf_spin_lock lock;
	u64 value;
};

struct {
	__uint(type, MAP_ARRAY);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, u64);
} array SEC(".maps");

struct {
	__uint(type, MAP_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, u64);
} hash SEC(".maps");

struct {
	__uint(type, MAP_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct locked);
} locked SEC(".maps");

struct {
	__uint(type, MAP_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} sink SEC(".maps");

/* The harness empties it between two measurements. */
struct {
	__uint(type, MAP_RINGBUF);
	__uint(max_entries, 1048576);
} ring SEC(".maps");

/* The harness puts `recursion` into it. */
struct {
	__uint(type, MAP_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} again SEC(".maps");

static inline __attribute__((always_inline)) u32 times(struct xdp_md *ctx)
{
	u8 *data = (u8 *)(long)ctx->data, *end = (u8 *)(long)ctx->data_end;

	return data + 1 > end ? 0 : data[0] & 63;
}

static inline __attribute__((always_inline)) void keep(u64 sum)
{
	u32 zero = 0;
	u64 *to = bpf_map_lookup_elem(&sink, &zero);

	if (to)
		*to = sum;
}

SEC("xdp") int empty(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp") int array_lookup(struct xdp_md *ctx)
{
	u32 n = times(ctx);
	u64 sum = 0;

	for (u32 i = 0; i < n; i++) {
		u32 key = i + (u32)sum;
		u64 *value = bpf_map_lookup_elem(&array, &key);

		sum += value ? *value : 1;
	}
	keep(sum);
	return XDP_PASS;
}

SEC("xdp") int hash_lookup(struct xdp_md *ctx)
{
	u32 n = times(ctx);
	u64 sum = 0;

	for (u32 i = 0; i < n; i++) {
		u32 key = sum;
		u64 *value = bpf_map_lookup_elem(&hash, &key);

		sum += value ? *value : 1;
	}
	keep(sum);
	return XDP_PASS;
}

SEC("xdp") int lock_pair(struct xdp_md *ctx)
{
	u32 n = times(ctx);

	for (u32 i = 0; i < n; i++) {
		u32 zero = 0;
		struct locked *l = bpf_map_lookup_elem(&locked, &zero);

		if (!l)
			break;
		bpf_spin_lock(&l->lock);
		l->value++;
		bpf_spin_unlock(&l->lock);
	}
	return XDP_PASS;
}

SEC("xdp") int ring_reserve(struct xdp_md *ctx)
{
	u32 n = times(ctx);

	for (u32 i = 0; i < n; i++) {
		u64 *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

		if (!record)
			return XDP_ABORTED;
		*record = i;
		bpf_ringbuf_submit(record, 0);
	}
	return XDP_PASS;
}

/* Calls itself until the kernel has had enough, which is after 33 times. */
SEC("xdp") int recursion(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &again, 0);
	return XDP_PASS;
}

struct eth {
	u8 dst[6], src[6];
	u16 type;
} __attribute__((packed));

struct ip {
	u8 version_len, tos;
	u16 total_len, id, fragment;
	u8 ttl, protocol;
	u16 checksum;
	u32 src, dst;
} __attribute__((packed));

struct udp {
	u16 src, dst, len, checksum;
} __attribute__((packed));

#define swab16(x)	__builtin_bswap16(x)
#define swap(a, b)	do { __typeof__(a) t_ = (a); (a) = (b); (b) = t_; } while (0)

SEC("xdp") int parse_rewrite(struct xdp_md *ctx)
{
	u8 *data = (u8 *)(long)ctx->data, *end = (u8 *)(long)ctx->data_end;
	struct eth *eth = (struct eth *)data;
	u8 *next = data + sizeof(*eth);
	struct ip *ip;
	struct udp *udp;
	u32 len, total, datagram, sum = 0;
	u16 type;

	if (next > end)
		return XDP_PASS;
	type = eth->type;
	if (type == swab16(0x8100)) {
		if (next + 4 > end)
			return XDP_PASS;
		type = *(u16 *)(next + 2);
		next += 4;
	}
	if (type != swab16(0x0800))
		return XDP_PASS;
	ip = (struct ip *)next;
	if (next + sizeof(*ip) > end)
		return XDP_PASS;
	len = (ip->version_len & 15) * 4;
	total = swab16(ip->total_len);
	if (ip->version_len >> 4 != 4 || len < sizeof(*ip) || total < len ||
	    ip->protocol != 17 || ip->fragment & swab16(0x3fff))
		return XDP_PASS;
	udp = (struct udp *)(next + len);
	if ((u8 *)udp + sizeof(*udp) > end)
		return XDP_PASS;
	datagram = swab16(udp->len);
	if (datagram < sizeof(*udp) || datagram > total - len ||
	    datagram > end - (u8 *)udp)
		return XDP_PASS;

	for (int i = 0; i < 6; i += 2)
		swap(*(u16 *)(eth->dst + i), *(u16 *)(eth->src + i));
	swap(ip->src, ip->dst);
	ip->ttl = 64;
	ip->checksum = 0;
	for (int i = 0; i < 10; i++)
		sum += ((u16 *)ip)[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->checksum = ~sum;
	swap(udp->src, udp->dst);
	udp->checksum = 0;
	return XDP_TX;
}

char _license[] SEC("license") = "GPL";
