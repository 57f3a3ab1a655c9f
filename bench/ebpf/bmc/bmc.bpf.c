// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * BMC in eBPF, in the pieces that the verifier takes, each a program that ends in a
 * tail call to the next:
 *
 *   rx -> hash_key -> write_one                   get of one key
 *         hash_key -> hash_key … -> collect … -> write_all    of several
 *   rx -> scan -> forget -> scan …                changes over TCP
 *   tx -> update                                  memcached's replies
 *
 * What it lacks beside extensions/bmc, as pieces that follow a connection and pieces
 * that keep a table of outstanding requests would be more again: IPv6, VLAN, IPv4 options, expiry, binary and
 * meta commands, requests cut by segments, and all that keeps a reply that was overtaken by
 * a change out of the cache. A direct-mapped entry stands for the set of four.
 */
#include "bmc.h"

inlined int is_plain_udp(u8 *p, u8 *end)
{
	return p + OFF_KEY <= end && *(u16 *)(p + 12) == bswap16(0x0800) && p[OFF_IP] == 0x45 &&
	       !(*(u16 *)(p + OFF_IP + 6) & bswap16(0x3fff)) && p[OFF_IP + 9] == 17;
}

SEC("xdp") int rx(struct xdp_md *ctx)
{
	u8 *p = (u8 *)(long)ctx->data, *end = (u8 *)(long)ctx->data_end;
	struct scratch *s = scratch_of();

	if (!s || p + OFF_KEY > end)
		return XDP_PASS;
	if (is_plain_udp(p, end) && *(u16 *)(p + OFF_UDP + 2) == bswap16(PORT)) {
		/* Request number, 0 of 1, reserved; then the command. */
		if (*(u32 *)(p + OFF_FRAME + 2) != 0x01000000 || *(u32 *)(p + OFF_TEXT) != 0x20746567)
			return XDP_PASS;
		s->keys = 0;
		s->at = OFF_KEY;
		bpf_tail_call(ctx, &pieces, HASH_KEY);
	} else if (*(u16 *)(p + 12) == bswap16(0x0800) && p[OFF_IP] == 0x45 && p[OFF_IP + 9] == 6 &&
		   *(u16 *)(p + OFF_UDP + 2) == bswap16(PORT)) {
		s->at = OFF_UDP + (p[OFF_UDP + 12] >> 4) * 4;
		bpf_tail_call(ctx, &pieces, SCAN);
	}
	return XDP_PASS;
}

/* Hashes the key at s->at: eight bytes at a time, then the rest. */
SEC("xdp") int hash_key(struct xdp_md *ctx)
{
	u8 *p = (u8 *)(long)ctx->data, *end = (u8 *)(long)ctx->data_end, *key;
	struct scratch *s = scratch_of();
	u64 hash = SEED, entry_hash;
	struct entry *e;
	u32 len = 0, at, n;
	u8 stop = 0;

	if (!s)
		return XDP_PASS;
	at = s->at & 0x7ff;
	n = s->keys;
	if (n >= MAX_KEYS)
		return XDP_PASS;
	key = p + at;
	for (u32 i = 0; i < MAX_KEY / 8; i++) {
		if (key + 8 > end || separators(*(u64 *)key))
			break;
		hash = mix(hash ^ *(u64 *)key);
		key += 8;
		len += 8;
	}
	for (u32 i = 0; i < 8; i++) {
		if (key + 1 > end)
			return XDP_PASS;
		stop = *key;
		if (stop < 0x21)
			break;
		hash = mix(hash ^ stop);
		key++;
		len++;
	}
	if (stop >= 0x21 || len == 0 || len > MAX_KEY)
		return XDP_PASS;
	hash = mix(hash ^ len);
	e = entry_of(hash);
	if (!e)
		return XDP_PASS;
	bpf_spin_lock(&e->lock);
	entry_hash = e->len ? e->hash : ~hash;
	s->len = e->len;
	bpf_spin_unlock(&e->lock);
	if (entry_hash != hash) {
		count(MISSES);
		return XDP_PASS;
	}
	s->hash[n] = hash;
	s->pos[n] = at;
	s->key_len[n] = len;
	s->keys = n + 1;
	if (stop == ' ') {
		s->at = at + len + 1;
		bpf_tail_call(ctx, &pieces, HASH_KEY);
		return XDP_PASS;
	}
	if (key + 2 > end || *(u16 *)key != 0x0a0d)
		return XDP_PASS;
	if (n == 0) {
		bpf_tail_call(ctx, &pieces, WRITE_ONE);
		return XDP_PASS;
	}
	s->keys = n + 1;
	s->at = 0;
	s->end = 0;
	bpf_tail_call(ctx, &pieces, COLLECT);
	return XDP_PASS;
}

/* Whether an entry's text is of the key in the packet; its lock is held. */
inlined int is_of(struct entry *e, u8 *key, u8 *end, u32 len)
{
	u32 at = 0;

	for (u32 i = 0; i < MAX_KEY / 8; i++) {
		if (at + 8 > len)
			break;
		if (key + at + 8 > end || *(u64 *)(e->text + 6 + at) != *(u64 *)(key + at))
			return 0;
		at += 8;
	}
	for (u32 i = 0; i < 8; i++) {
		if (at >= len)
			break;
		/* The mask is for the verifier: it has lost that at is small. */
		if (key + (at & 255) + 1 > end || e->text[6 + (at & 255)] != key[at & 255])
			return 0;
		at++;
	}
	return e->text[6 + (at & 255)] == ' ';
}

/* Headers of a reply with `len` bytes of text and END. */
inlined int turn_around(u8 *p, u8 *end, u32 len)
{
	u32 sum = 0, ip, mac4;
	u16 mac2, port;

	if (p + OFF_TEXT > end)
		return 0;
	mac4 = *(u32 *)p;
	mac2 = *(u16 *)(p + 4);
	*(u32 *)p = *(u32 *)(p + 6);
	*(u16 *)(p + 4) = *(u16 *)(p + 10);
	*(u32 *)(p + 6) = mac4;
	*(u16 *)(p + 10) = mac2;
	ip = *(u32 *)(p + OFF_IP + 12);
	*(u32 *)(p + OFF_IP + 12) = *(u32 *)(p + OFF_IP + 16);
	*(u32 *)(p + OFF_IP + 16) = ip;
	port = *(u16 *)(p + OFF_UDP);
	*(u16 *)(p + OFF_UDP) = *(u16 *)(p + OFF_UDP + 2);
	*(u16 *)(p + OFF_UDP + 2) = port;
	*(u16 *)(p + OFF_UDP + 4) = bswap16(8 + 8 + len + 5);
	*(u16 *)(p + OFF_UDP + 6) = 0;
	*(u16 *)(p + OFF_IP + 2) = bswap16(20 + 8 + 8 + len + 5);
	*(u32 *)(p + OFF_IP + 4) = 0x00400000;
	*(u16 *)(p + OFF_IP + 8) = 0x1140;
	*(u16 *)(p + OFF_IP + 10) = 0;
	for (u32 i = 0; i < 10; i++)
		sum += *(u16 *)(p + OFF_IP + 2 * i);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	*(u16 *)(p + OFF_IP + 10) = ~sum;
	return 1;
}

inlined int write_end(u8 *p, u8 *end, u32 len)
{
	u8 *to = p + OFF_TEXT + (len & 0x7ff);

	if (to + 5 > end)
		return 0;
	*(u32 *)to = 0x0d444e45; /* END\r */
	to[4] = '\n';
	return 1;
}

/*
 * Answers a get of one key. The packet has to be made longer first, which no
 * helper may do under the lock; so the key is compared and the length read under it, the lock let
 * go, the packet made longer, and all of it looked at again. A reply that changed in between finds a request
 * that is half overwritten.
 */
SEC("xdp") int write_one(struct xdp_md *ctx)
{
	u8 *p = (u8 *)(long)ctx->data, *end = (u8 *)(long)ctx->data_end, *to;
	struct scratch *s = scratch_of();
	struct entry *e;
	u32 len, at = 0;
	u64 hash;
	int same;

	if (!s)
		return XDP_PASS;
	hash = s->hash[0];
	e = entry_of(hash);
	if (!e)
		return XDP_PASS;
	bpf_spin_lock(&e->lock);
	len = e->len;
	same = len && e->hash == hash && is_of(e, p + OFF_KEY, end, s->key_len[0]);
	bpf_spin_unlock(&e->lock);
	if (!same || len > MAX_TEXT) {
		count(MISSES);
		return XDP_PASS;
	}
	if (bpf_xdp_adjust_tail(ctx, (int)(OFF_TEXT + len + 5) - (int)(end - p)))
		return XDP_PASS;
	p = (u8 *)(long)ctx->data;
	end = (u8 *)(long)ctx->data_end;
	to = p + OFF_TEXT;
	bpf_spin_lock(&e->lock);
	same = e->len == len && e->hash == hash;
	if (same) {
		for (u32 i = 0; i < MAX_TEXT / 8; i++) {
			if (at + 8 > len || to + 8 > end)
				break;
			*(u64 *)to = *(u64 *)(e->text + 8 * i);
			to += 8;
			at += 8;
		}
		for (u32 i = 0; i < 8; i++) {
			if (at >= len || at >= MAX_TEXT || to + 1 > end)
				break;
			*to++ = e->text[at++];
		}
	}
	bpf_spin_unlock(&e->lock);
	if (!same || !write_end(p, end, len) || !turn_around(p, end, len))
		return XDP_DROP;
	count(HITS);
	return XDP_TX;
}

/* Copies the text of one more key of a multi-get. */
SEC("xdp") int collect(struct xdp_md *ctx)
{
	u8 *p = (u8 *)(long)ctx->data, *end = (u8 *)(long)ctx->data_end;
	struct scratch *s = scratch_of();
	struct entry *e;
	u32 n, len, at, to;
	u64 hash;
	int same;

	if (!s)
		return XDP_PASS;
	n = s->at;
	if (n >= MAX_KEYS)
		return XDP_PASS;
	if (n >= s->keys) {
		bpf_tail_call(ctx, &pieces, WRITE_ALL);
		return XDP_PASS;
	}
	hash = s->hash[n];
	e = entry_of(hash);
	if (!e)
		return XDP_PASS;
	to = s->end;
	bpf_spin_lock(&e->lock);
	len = e->len;
	same = len && e->hash == hash && is_of(e, p + (s->pos[n] & 0x7ff), end, s->key_len[n]);
	if (same && to + len <= MAX_TEXT) {
		for (u32 i = 0; i < MAX_TEXT / 8; i++) {
			if (8 * i >= len)
				break;
			at = to + 8 * i;
			/* Or the compiler tests another variable than it uses. */
			asm volatile("" : "+r"(at));
			if (at > MAX_TEXT)
				break;
			*(volatile u64 *)(s->text + at) = *(volatile u64 *)(e->text + 8 * i);
		}
	}
	bpf_spin_unlock(&e->lock);
	if (!same || to + len > MAX_TEXT)
		return XDP_PASS;
	s->end = to + len;
	s->at = n + 1;
	bpf_tail_call(ctx, &pieces, COLLECT);
	return XDP_PASS;
}

SEC("xdp") int write_all(struct xdp_md *ctx)
{
	u8 *p = (u8 *)(long)ctx->data, *end = (u8 *)(long)ctx->data_end, *to;
	struct scratch *s = scratch_of();
	u32 len, at = 0;

	if (!s)
		return XDP_PASS;
	len = s->end;
	if (len > MAX_TEXT || bpf_xdp_adjust_tail(ctx, (int)(OFF_TEXT + len + 5) - (int)(end - p)))
		return XDP_PASS;
	p = (u8 *)(long)ctx->data;
	end = (u8 *)(long)ctx->data_end;
	to = p + OFF_TEXT;
	for (u32 i = 0; i < MAX_TEXT / 8; i++) {
		if (at + 8 > len || to + 8 > end)
			break;
		*(u64 *)to = *(u64 *)(s->text + 8 * i);
		to += 8;
		at += 8;
	}
	for (u32 i = 0; i < 8; i++) {
		if (at >= len || at >= MAX_TEXT || to + 1 > end)
			break;
		*to++ = s->text[at++];
	}
	if (!write_end(p, end, len) || !turn_around(p, end, len))
		return XDP_DROP;
	count(HITS);
	return XDP_TX;
}

/* Most bytes that one run looks through. */
#define SCAN_BYTES	400

/* Looks for the next `set ` in a segment. */
SEC("xdp") int scan(struct xdp_md *ctx)
{
	u8 *p = (u8 *)(long)ctx->data, *end = (u8 *)(long)ctx->data_end;
	struct scratch *s = scratch_of();
	u32 at;

	if (!s)
		return XDP_PASS;
	at = s->at & 0x7ff;
	for (u32 i = 0; i < SCAN_BYTES; i++) {
		u8 *here = p + at;

		if (here + 4 > end)
			return XDP_PASS;
		at++;
		if (*(u32 *)here == 0x20746573) {
			s->at = at + 3;
			bpf_tail_call(ctx, &pieces, FORGET);
			return XDP_PASS;
		}
		if (at > 1600)
			return XDP_PASS;
	}
	s->at = at;
	bpf_tail_call(ctx, &pieces, SCAN);
	return XDP_PASS;
}

/* Forgets the key behind it, and looks on. */
SEC("xdp") int forget(struct xdp_md *ctx)
{
	u8 *p = (u8 *)(long)ctx->data, *end = (u8 *)(long)ctx->data_end, *key;
	struct scratch *s = scratch_of();
	u64 hash = SEED;
	struct entry *e;
	u32 len = 0, at;

	if (!s)
		return XDP_PASS;
	at = s->at & 0x7ff;
	key = p + at;
	for (u32 i = 0; i < MAX_KEY / 8; i++) {
		if (key + 8 > end || separators(*(u64 *)key))
			break;
		hash = mix(hash ^ *(u64 *)key);
		key += 8;
		len += 8;
	}
	for (u32 i = 0; i < 8; i++) {
		if (key + 1 > end)
			return XDP_PASS;
		if (*key < 0x21)
			break;
		hash = mix(hash ^ *key);
		key++;
		len++;
	}
	hash = mix(hash ^ len);
	e = entry_of(hash);
	if (e) {
		bpf_spin_lock(&e->lock);
		if (e->hash == hash)
			e->len = 0;
		bpf_spin_unlock(&e->lock);
		count(CHANGES);
	}
	s->at = at + len;
	bpf_tail_call(ctx, &pieces, SCAN);
	return XDP_PASS;
}

SEC("tc") int tx(struct __sk_buff *skb)
{
	struct scratch *s = scratch_of();
	u8 head[OFF_KEY];
	u32 len;

	if (!s || bpf_skb_load_bytes(skb, 0, head, sizeof(head)) || !is_plain_udp(head, head + sizeof(head)) ||
	    *(u16 *)(head + OFF_UDP) != bswap16(PORT) || *(u32 *)(head + OFF_TEXT) != 0x554c4156)
		return TC_ACT_UNSPEC;
	/* The text without END. */
	len = skb->len - OFF_TEXT - 5;
	/* Or the compiler tests another variable than it uses. */
	asm volatile("" : "+r"(len));
	if (len < 16 || len > MAX_TEXT)
		return TC_ACT_UNSPEC;
	if (bpf_skb_load_bytes(skb, OFF_TEXT, s->text, len))
		return TC_ACT_UNSPEC;
	s->len = len;
	bpf_tail_call(skb, &pieces_tc, UPDATE);
	return TC_ACT_UNSPEC;
}

/* Takes the one item of a reply over. */
SEC("tc") int update(struct __sk_buff *skb)
{
	struct scratch *s = scratch_of();
	u64 hash = SEED, w;
	struct entry *e;
	u32 at = 0, len;

	if (!s)
		return TC_ACT_UNSPEC;
	len = s->len;
	if (len > MAX_TEXT)
		return TC_ACT_UNSPEC;
	for (u32 i = 0; i < MAX_KEY / 8; i++) {
		w = *(u64 *)(s->text + 6 + at);
		if (separators(w))
			break;
		hash = mix(hash ^ w);
		at += 8;
	}
	for (u32 i = 0; i < 8; i++) {
		u8 c = s->text[6 + at];

		if (c < 0x21)
			break;
		hash = mix(hash ^ c);
		at++;
	}
	hash = mix(hash ^ at);
	e = entry_of(hash);
	if (!e)
		return TC_ACT_UNSPEC;
	bpf_spin_lock(&e->lock);
	e->hash = hash;
	e->len = len;
	at = 0;
	for (u32 i = 0; i < MAX_TEXT / 8; i++) {
		if (at >= len)
			break;
		*(u64 *)(e->text + 8 * i) = *(u64 *)(s->text + 8 * i);
		at += 8;
	}
	bpf_spin_unlock(&e->lock);
	count(FILLS);
	return TC_ACT_UNSPEC;
}
