// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * An extension by hand, as the toolchain would make it, for the tests of this
 * package: two programs, two maps, two parameters. EXT_VERSION makes another
 * version of it. EXT_LEAK returns with things held, EXT_SPIN never returns and never
 * polls, EXT_DEEP does the first on a runtime stack: no compiler of ours lets an author do that.
 */
#include <stddef.h>
#include "../module/iu_abi.h"

#ifndef EXT_VERSION
#define EXT_VERSION "1.0.0"
#endif
#ifndef EXT_STEP
#define EXT_STEP 1
#endif
#ifndef EXT_SEEN
#define EXT_SEEN 16
#endif

#define X(ret, name, args) extern ret name args;
IU_RT_FUNCTIONS(X)
#undef X

#define IN(section_name) __attribute__((section(section_name), used))

IN(IU_SEC_INFO) const struct iu_abi_info iu_info = {
	.magic = IU_ABI_MAGIC, .abi = IU_ABI_VERSION, .machine = 62,
	.name = "ext", .version = EXT_VERSION,
};

enum { MAP_COUNTS, MAP_SEEN };
IN(IU_SEC_MAP) struct iu_abi_map iu_maps[] = {
	[MAP_COUNTS] = { .name = "COUNTS", .type = 2 /* ARRAY */, .key_size = 4, .value_size = 8, .max_entries = 2 },
	[MAP_SEEN] = { .name = "SEEN", .type = 1 /* HASH */, .key_size = 4, .value_size = 8, .max_entries = EXT_SEEN },
};

enum { PARAM_PANIC_LEN, PARAM_DELTA };
IN(IU_SEC_PARAM) struct iu_abi_param iu_params[] = {
	[PARAM_PANIC_LEN] = { .name = "PANIC_LEN", .type = IU_PARAM_U64, .min = 0, .max = 65535, .value = 1234 },
	[PARAM_DELTA] = { .name = "DELTA", .type = IU_PARAM_I64, .min = (__u64)-10, .max = 10, .value = (__u64)-1 },
};

static const char file[] = "ext.c";

#ifdef EXT_LEAK
static __u32 lock, pool[2];
#endif
#ifdef EXT_DEEP
#define STACK 2048	/* more than a run may take of the stack it finds */
#else
#define STACK 256
#endif

/* Twice, so that the object has a return thunk and a call of its own. */
__attribute__((noinline)) static void count(__u32 key)
{
	__u64 *value = iu_rt_map_lookup(&iu_maps[MAP_COUNTS], &key);

	if (value)
		__atomic_fetch_add(value, EXT_STEP, __ATOMIC_RELAXED);
}

struct xdp {
	__u8 *data, *data_end;
};

__attribute__((used)) __u32 iu_entry_count_xdp(void *ctx)
{
	struct xdp *x = ctx;
	__u32 len = x->data_end - x->data;
	__u64 one = 1;

	count(0);
#ifdef EXT_LEAK
	iu_rt_irq_off();
	iu_rt_rcu_lock();
	iu_rt_lock(&lock);
	iu_rt_pool_take(pool, 2);
#endif
#ifdef EXT_SPIN
	for (;;)
		__asm__ volatile("pause");
#endif
	iu_rt_map_update(&iu_maps[MAP_SEEN], &len, &one, 0);
	if (len == iu_params[PARAM_PANIC_LEN].value)
		iu_rt_panic(file, sizeof(file) - 1, __LINE__, 7);
	return 2; /* XDP_PASS */
}

__attribute__((used)) __u32 iu_entry_count_tc(void *ctx)
{
	struct iu_ctx_tc *c = ctx;

	count(1);
	if (c->len == iu_params[PARAM_PANIC_LEN].value)
		iu_rt_panic(file, sizeof(file) - 1, __LINE__, 7);
	return 0; /* TC_ACT_OK */
}

#ifdef EXT_CALL_THUNK
/* A call of the thunk is no return. */
extern void __x86_return_thunk(void);
__attribute__((used)) void call_thunk(void)
{
	__x86_return_thunk();
	iu_rt_cpu();
}
#endif

struct prog {
	char name[IU_ABI_NAME_LEN];
	__u32 hook, flags;
	__u32 (*entry)(void *ctx);
	__u32 stack;
	__s32 on_fault;
	__u64 args;
};

IN(IU_SEC_PROG) const struct prog iu_progs[] = {
	{ .name = "count_xdp", .hook = IU_HOOK_XDP, .entry = iu_entry_count_xdp, .stack = STACK, .on_fault = 2 },
	{ .name = "count_tc", .hook = IU_HOOK_TC, .entry = iu_entry_count_tc, .stack = 256, .on_fault = 0 },
};
