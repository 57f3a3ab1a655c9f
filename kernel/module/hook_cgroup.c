// SPDX-License-Identifier: GPL-2.0-only
/*
 * cgroup_skb and cgroup_sock_addr: one class of kfuncs, with contexts that are
 * structs of the kernel, so offered only where filters keep the two apart.
 */
#include <linux/filter.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/string.h>
#include <net/ipv6.h>
#include <net/sock.h>

#include "compat.h"
#include "dispatch.h"
#include "kfunc.h"
#include "skb.h"

#ifdef IU_KFUNC_FILTERS

static void read_addr(const struct bpf_sock_addr_kern *k, struct iu_ctx_sock_addr *c)
{
	const struct sockaddr_in6 *in6 = (const void *)k->uaddr;
	const struct sockaddr_in *in = (const void *)k->uaddr;

	if (k->uaddr->sa_family == AF_INET) {
		c->port = (__force u16)in->sin_port;
		memcpy(c->addr, &in->sin_addr, sizeof(in->sin_addr));
	} else if (k->uaddr->sa_family == AF_INET6 && k->uaddrlen >= SIN6_LEN_RFC2133) {
		c->port = (__force u16)in6->sin6_port;
		memcpy(c->addr, &in6->sin6_addr, sizeof(in6->sin6_addr));
	} else {
		return;
	}
	c->family = k->uaddr->sa_family;
}

static void write_addr(const struct bpf_sock_addr_kern *k, const struct iu_ctx_sock_addr *c)
{
	struct sockaddr_in6 *in6 = (void *)k->uaddr;
	struct sockaddr_in *in = (void *)k->uaddr;

	if (c->family != k->uaddr->sa_family)
		return;
	if (c->family == AF_INET) {
		in->sin_port = (__force __be16)c->port;
		memcpy(&in->sin_addr, c->addr, sizeof(in->sin_addr));
	} else if (c->family == AF_INET6) {
		in6->sin6_port = (__force __be16)c->port;
		memcpy(&in6->sin6_addr, c->addr, sizeof(in6->sin6_addr));
	}
}

__bpf_kfunc_start_defs();

__bpf_kfunc notrace u32 iu_cgroup_skb_run(struct __sk_buff *ctx, u32 slot)
{
	struct iu_ctx_tc c = iu_ctx_of_skb((struct sk_buff *)ctx);

	return iu_run_slot(slot, IU_HOOK_CGROUP_SKB, &c);
}

__bpf_kfunc notrace u32 iu_sock_addr_run(struct bpf_sock_addr *ctx, u32 slot)
{
	const struct bpf_sock_addr_kern *k = (const void *)ctx;
	struct iu_ctx_sock_addr c = { .type = k->sk->sk_type, .protocol = k->sk->sk_protocol };
	u32 ret;

	read_addr(k, &c);
	ret = iu_run_slot(slot, IU_HOOK_CGROUP_SOCK_ADDR, &c);
	if (ret & IU_SOCK_ADDR_RETURNED && c.changed)
		write_addr(k, &c);
	return ret & ~IU_SOCK_ADDR_RETURNED;
}

__bpf_kfunc_end_defs();

BTF_KFUNCS_START(iu_cgroup_kfuncs)
BTF_ID_FLAGS(func, iu_cgroup_skb_run)
BTF_ID_FLAGS(func, iu_sock_addr_run)
BTF_KFUNCS_END(iu_cgroup_kfuncs)

BTF_ID_LIST(iu_cgroup_ids)
BTF_ID(func, iu_cgroup_skb_run)
BTF_ID(func, iu_sock_addr_run)

static int filter(const struct bpf_prog *prog, u32 id)
{
	static const struct iu_kfunc_rule rules[] = {
		{ BPF_PROG_TYPE_CGROUP_SKB, -1 },
		{ BPF_PROG_TYPE_CGROUP_SOCK_ADDR, -1 },
	};

	return iu_kfunc_filter(prog, id, iu_cgroup_ids, rules, ARRAY_SIZE(rules));
}

static const struct btf_kfunc_id_set set = {
	.owner = THIS_MODULE,
	.set = &iu_cgroup_kfuncs,
	.filter = filter,
};

int iu_hook_cgroup_init(void)
{
	return iu_kfuncs_offer(BPF_PROG_TYPE_CGROUP_SKB, &set,
			       BIT(IU_HOOK_CGROUP_SKB) | BIT(IU_HOOK_CGROUP_SOCK_ADDR));
}

#else

int iu_hook_cgroup_init(void)
{
	return 0;
}

#endif
