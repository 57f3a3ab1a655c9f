// SPDX-License-Identifier: GPL-2.0-only
/* Has every section, relocation type and kind of reference an object may have. */
#include "object.h"

SECTION(IU_SEC_MAP) struct iu_abi_map maps[] = {
	{ .name = "CACHE", .type = 2, .key_size = 4, .value_size = 16, .max_entries = 8 },
	{ .name = "STATS", .type = 6, .key_size = 4, .value_size = 8, .max_entries = 1 },
};
SECTION(IU_SEC_PARAM) struct iu_abi_param params[] = {
	{ .name = "PORT", .type = IU_PARAM_U64, .min = 1, .max = 65535, .value = 11211 },
	{ .name = "BIAS", .type = IU_PARAM_I64, .min = (u64)-5, .max = 5, .value = (u64)-1 },
	{ .name = "ON", .type = IU_PARAM_BOOL, .min = 0, .max = 1, .value = 1 },
};

SECTION(IU_SEC_KRELOC) struct iu_abi_kreloc krelocs[] = {
	{ .type = "struct sk_buff", .field = "len", .kind = IU_KRELOC_FIELD, .flags = IU_KRELOC_F_INT, .want = 4 },
	{ .type = "struct task_struct", .field = "comm", .kind = IU_KRELOC_FIELD, .flags = IU_KRELOC_F_OPTIONAL, .want = 16 },
	{ .type = "struct sk_buff", .kind = IU_KRELOC_SIZE },
	{ .type = "HZ", .kind = IU_KRELOC_CONFIG, .flags = IU_KRELOC_F_OPTIONAL },
};

static u64 counter = 7;
static u32 lock;

__attribute__((noinline)) static u32 one(u32 a) { return a + (u32)counter; }
__attribute__((noinline)) static u32 two(u32 a) { return a * 3; }
/* In .data.rel.ro or .rodata, with R_X86_64_64; calls go through a retpoline. */
static u32 (*const table[])(u32) = { one, two };

static u32 run(const u8 **ctx)
{
	u32 key = 0, sum = 0;
	u64 *v = iu_rt_map_lookup(&maps[1], &key);

	if (!v)
		iu_rt_panic("sample.c", 8, 1, 2);
	iu_rt_lock(&lock);
	++*v;
	iu_rt_unlock(&lock);
	if (krelocs[0].exists)
		iu_rt_read_kernel(&sum, (u64)ctx + krelocs[0].offset, krelocs[0].size);
	iu_rt_fuel = IU_FUEL;
	for (const u8 *p = ctx[0]; p < ctx[1]; p++) {
		sum += table[*p & 1](params[0].value);
		if (--iu_rt_fuel < 0)
			iu_rt_poll();
	}
	return sum;
}

INFO("sample", "1.2.3");
PROGRAMS(PROGRAM("run", IU_HOOK_XDP, IU_PROG_F_POLL, 512, run, 2),
	 PROGRAM("deep", IU_HOOK_TC, IU_PROG_F_STACK_CHECK, 0, run, -1));
