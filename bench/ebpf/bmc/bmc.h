/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What the programs of the eBPF baseline share: BMC's design (Ghigoff et al.,
 * NSDI '21), written anew for this comparison. Self-contained, so that it needs no headers.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name)	__attribute__((section(name), used))
#define __uint(name, value)	int (*name)[value]
#define __type(name, type)	type *name
#define inlined	static inline __attribute__((always_inline))
#define bswap16(x)	__builtin_bswap16(x)

struct xdp_md {
	u32 data, data_end;
};
struct __sk_buff {
	u32 len;
	u32 unused[18];
	u32 data, data_end;
};
struct bpf_spin_lock {
	u32 val;
};

enum { XDP_DROP = 1, XDP_PASS = 2, XDP_TX = 3, TC_ACT_UNSPEC = -1 };
enum { MAP_ARRAY = 2, MAP_PROG_ARRAY = 3, MAP_PERCPU_ARRAY = 6 };

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_tail_call)(void *ctx, void *map, u32 index) = (void *)12;
static long (*bpf_skb_load_bytes)(void *skb, u32 off, void *to, u32 len) = (void *)26;
static long (*bpf_xdp_adjust_tail)(struct xdp_md *ctx, int delta) = (void *)65;
static long (*bpf_spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
static long (*bpf_spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;

/* As in extensions/bmc. */
#define MAX_TEXT	1408
#define MAX_KEY		250
#define MAX_KEYS	32
#define ENTRIES		4096
#define PORT		11211

/* Only IPv4 without options is served, so that all of these are constants. */
#define OFF_IP		14
#define OFF_UDP		34
#define OFF_FRAME	42
#define OFF_TEXT	50
#define OFF_KEY		54

/* One item: the text of a reply, VALUE line included. */
struct entry {
	struct bpf_spin_lock lock;
	u32 len;		/* 0: empty */
	u64 hash;
	u8 text[MAX_TEXT + 8];	/* words are read whole */
};

struct {
	__uint(type, MAP_ARRAY);
	__uint(max_entries, ENTRIES);
	__type(key, u32);
	__type(value, struct entry);
} cache SEC(".maps");

/* What the pieces of a program hand on to each other. */
struct scratch {
	u32 keys;		/* of the request so far */
	u32 at;			/* next byte of the packet to look at */
	u32 len;		/* of the text */
	u32 end;		/* of the reply so far */
	u64 hash[MAX_KEYS];
	u16 pos[MAX_KEYS];	/* of keys in the request */
	u16 key_len[MAX_KEYS];
	u8 text[MAX_TEXT + 8];	/* a reply of memcached's; several texts of a multi-get */
};

struct {
	__uint(type, MAP_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

enum { HITS, MISSES, FILLS, CHANGES, COUNTS };
struct {
	__uint(type, MAP_PERCPU_ARRAY);
	__uint(max_entries, COUNTS);
	__type(key, u32);
	__type(value, u64);
} stats SEC(".maps");

inlined void count(u32 what)
{
	u64 *n = bpf_map_lookup_elem(&stats, &what);

	if (n)
		*n += 1;
}

/* The harness puts the programs in, by name. */
enum { HASH_KEY, WRITE_ONE, COLLECT, WRITE_ALL, SCAN, FORGET, PIECES };
struct {
	__uint(type, MAP_PROG_ARRAY);
	__uint(max_entries, PIECES);
	__type(key, u32);
	__type(value, u32);
} pieces SEC(".maps");

/* A table of programs takes one type of them. */
enum { UPDATE, PIECES_TC };
struct {
	__uint(type, MAP_PROG_ARRAY);
	__uint(max_entries, PIECES_TC);
	__type(key, u32);
	__type(value, u32);
} pieces_tc SEC(".maps");

#define SEED	0x9e3779b97f4a7c15ull
#define FACTOR	0xd6e8feb86659fd93ull

/* eBPF has no upper half of a product. */
inlined u64 mix(u64 h)
{
	h *= FACTOR;
	return h ^ h >> 32;
}

/* Bits for bytes below 0x21, some at least if there is any. */
inlined u64 separators(u64 w)
{
	return (w - 0x2121212121212121ull) & ~w & 0x8080808080808080ull;
}

inlined struct entry *entry_of(u64 hash)
{
	u32 i = hash & (ENTRIES - 1);

	return bpf_map_lookup_elem(&cache, &i);
}

inlined struct scratch *scratch_of(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&scratch, &zero);
}
