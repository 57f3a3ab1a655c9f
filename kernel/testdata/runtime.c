// SPDX-License-Identifier: GPL-2.0-only
/*
 * What Wrap reads of an iu.ko, with CRCs that a test knows: 1, 2, ... in the
 * order of the lists for the runtime's exports, 0x1001, ... for the kernel's.
 */
#include "../module/iu_abi.h"

#define IN(name) __attribute__((section(name), used))

IN(".modinfo") static const char modinfo[] =
	"license=GPL\0depends=\0retpoline=Y\0name=iu\0vermagic=6.99.0-test SMP preempt mod_unload modversions ";

struct version {
	unsigned long crc;
	char name[56];
};

enum { KERNEL = 0x1000
#define X(name) , K_##name
IU_KERNEL_SYMBOLS(X)
#undef X
};

#define X(sym) { K_##sym, #sym },
IN("__versions") static const struct version versions[] = { { 0x12345678, "module_layout" }, IU_KERNEL_SYMBOLS(X) };
#undef X

enum { RUNTIME = 0
#define X(ret, name, args) , R_##name
IU_RT_FUNCTIONS(X)
#undef X
, R_iu_rt_fuel };

#define X(ret, name, args) __attribute__((section("__kcrctab_gpl"), used)) const unsigned int __crc_##name = R_##name;
IU_RT_FUNCTIONS(X)
X(int, iu_rt_fuel, )
#undef X

IN(".gnu.linkonce.this_module") static struct {
	int state;
	void *list[2];
	char name[56];
	char rest[1192];
} this_module = { .name = "iu" };
