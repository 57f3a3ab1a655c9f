/* SPDX-License-Identifier: GPL-2.0-only */
/* Writes by hand what the macros of the crate and the LLVM pass make. */
#ifndef IU_TEST_OBJECT_H
#define IU_TEST_OBJECT_H

typedef unsigned char u8;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;

#include "iu_abi.h"

#define SECTION(name) __attribute__((section(name), used))

#define RT_PROTOTYPE(ret, name, args) extern ret name args;
IU_RT_FUNCTIONS(RT_PROTOTYPE)
extern __seg_gs int iu_rt_fuel;

/* struct iu_abi_prog with a pointer, for a static initialiser cannot hold a cast one. */
struct program {
	char name[IU_ABI_NAME_LEN];
	u32 hook, flags;
	const void *entry;
	u32 stack;
	s32 on_fault;
	u64 reserved;
};
_Static_assert(sizeof(struct program) == sizeof(struct iu_abi_prog), "program");

#define INFO(pkg, ver) \
	SECTION(IU_SEC_INFO) const struct iu_abi_info info = { \
		IU_ABI_MAGIC, IU_ABI_VERSION, 62, pkg, ver, { 0 } }
#define PROGRAM(name, hook, flags, stack, fn, fault) \
	{ name, hook, flags, (const void *)fn, stack, fault, 0 }
#define PROGRAMS(...) SECTION(IU_SEC_PROG) const struct program programs[] = { __VA_ARGS__ }

#endif
