// SPDX-License-Identifier: GPL-2.0-only
/* Brings the parts up and takes them down in reverse. */
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "compat.h"
#include "dev.h"
#include "dispatch.h"
#include "image.h"
#include "iu_abi.h"
#include "iu_uapi.h"
#include "key.h"
#include "log.h"
#include "rt.h"
#include "slot.h"
#include "stack.h"
#include "watch.h"

static int __init iu_init(void)
{
	int ret;

	iu_log_init();
	iu_rt_init();
	iu_slot_init();
	ret = iu_stack_init();
	if (ret)
		return ret;
	ret = iu_watch_init();
	if (ret)
		goto stack;
	ret = iu_key_init();
	if (ret)
		goto watch;
	ret = iu_image_init();
	if (ret)
		goto key;
	ret = iu_dispatch_init();
	if (ret)
		goto image;
	ret = iu_dev_init();
	if (ret)
		goto image;
	return 0;
image:
	iu_image_exit();
key:
	iu_key_exit();
watch:
	iu_watch_exit();
stack:
	iu_stack_exit();
	return ret;
}

/*
 * By now there are no slots, no extensions, no stubs (each holds a reference) and
 * no open files. Kfuncs need no unregistering: they go with the module's BTF.
 */
static void __exit iu_exit(void)
{
	iu_dev_exit();
	iu_image_exit();
	/* Old packet heads may still wait to be freed by our code. */
	rcu_barrier();
	iu_key_exit();
	iu_watch_exit();
	iu_stack_exit();
	iu_log_exit();
}

module_init(iu_init);
module_exit(iu_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("runtime for signed native extensions");
MODULE_VERSION(__stringify(IU_UAPI_VERSION) "." __stringify(IU_ABI_VERSION));
IU_IMPORT_NS;
