/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What all stubs share. Self-contained, so that a stub is the same bytes
 * whatever headers a machine has.
 *
 * A stub is the verified half of a program: it calls one kfunc of iu.ko with
 * the number of its slot. IU_SLOT stands for that number: the loader replaces
 * the one instruction that carries it, which keeps the stub free of a map and
 * of a load.
 */
#ifndef IU_STUB_H
#define IU_STUB_H

typedef unsigned int __u32;
typedef unsigned long long __u64;

struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	__u32 egress_ifindex;
};

/* Of the context only the type matters; the kernel has its own definition. */
struct __sk_buff {
	__u32 len;
};

#define IU_SLOT		0x69755f53
#define SEC(name)	__attribute__((section(name), used))
#define KFUNC		__attribute__((section(".ksyms")))

#endif
