// SPDX-License-Identifier: GPL-2.0-only
/* What an extension is told of the kernel (struct iu_abi_kreloc). */
#include <linux/bitmap.h>
#include <linux/errno.h>

#include "abi.h"
#include "ext.h"

int iu_ext_set_kreloc(const struct iu_set_kreloc *a)
{
	const struct iu_abi_kreloc set = {
		.exists = a->exists, .offset = a->offset, .size = a->bytes, .bits = a->bits,
		.value = a->value,
	};
	struct iu_abi_kreloc *r;
	struct iu_ext *ext;
	int ret = 0;

	if (a->reserved)
		return -EINVAL;
	mutex_lock(&iu_mutex);
	ext = iu_ext_find(a->id);
	if (!ext || a->kreloc >= ext->nkrelocs) {
		ret = -ENOENT;
	} else if (ext->started) {
		ret = -EBUSY;
	} else {
		r = &ext->kreloc[a->kreloc];
		if (iu_abi_kreloc_ok(r, &set)) {
			r->exists = set.exists;
			r->offset = set.offset;
			r->size = set.size;
			r->bits = set.bits;
			r->value = set.value;
			__set_bit(a->kreloc, ext->resolved);
		} else {
			ret = -ERANGE;
		}
	}
	mutex_unlock(&iu_mutex);
	return ret;
}
