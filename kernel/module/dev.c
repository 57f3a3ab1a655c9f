// SPDX-License-Identifier: GPL-2.0-only
/* /dev/iu: copies the structures of iu_uapi.h in and out; what they mean is elsewhere. */
#include "dev.h"

#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ext.h"
#include "harvest.h"
#include "iu_abi.h"
#include "iu_uapi.h"
#include "key.h"
#include "kfunc.h"
#include "slot.h"
#include "stack.h"

/* These are what user space compiles in; a change needs a longer structure. */
static_assert(sizeof(struct iu_version) == 48);
static_assert(sizeof(struct iu_key) == 272);
static_assert(sizeof(struct iu_section) == 16);
static_assert(sizeof(struct iu_load) == 360);
static_assert(sizeof(struct iu_bind) == 272);
static_assert(sizeof(struct iu_set_param) == 24);
static_assert(sizeof(struct iu_set_kreloc) == 40);
static_assert(sizeof(struct iu_slot_new) == 16);
static_assert(sizeof(struct iu_attach_one) == 32);
static_assert(sizeof(struct iu_attach) == 16);
static_assert(sizeof(struct iu_id) == 8);
static_assert(sizeof(struct iu_ext_info) == 352);
static_assert(sizeof(struct iu_prog_info) == 312);
static_assert(sizeof(struct iu_timing) == 16);
static_assert(sizeof(struct iu_harvest) == 16);

#define ATTACH_MAX	64

union argument {
	u32 size;
	struct iu_version version;
	struct iu_key key;
	struct iu_harvest harvest;
	struct iu_load load;
	struct iu_bind bind;
	struct iu_set_param param;
	struct iu_set_kreloc kreloc;
	struct iu_id id;
	struct iu_slot_new slot;
	struct iu_attach attach;
	struct iu_ext_info ext;
	struct iu_prog_info prog;
	struct iu_timing timing;
};

static int do_version(struct iu_version *a)
{
	if (a->reserved0 || a->reserved)
		return -EINVAL;
	a->uapi = IU_UAPI_VERSION;
	a->abi = IU_ABI_VERSION;
	iu_key_state(&a->keys, &a->sealed);
	a->harvested = iu_harvested();
	a->stack_bytes = iu_stack_bytes();
	a->hooks = iu_hooks_offered();
	return 0;
}

static int do_key_add(struct iu_key *a)
{
	void *cert;
	int ret;

	memset(a->msg, 0, sizeof(a->msg));
	if (!a->len)
		return -EINVAL;
	if (a->len > IU_MAX_CERT)
		return -E2BIG;
	cert = memdup_user(u64_to_user_ptr(a->data), a->len);
	if (IS_ERR(cert))
		return PTR_ERR(cert);
	ret = iu_key_add(cert, a->len, a->msg);
	kfree(cert);
	return ret;
}

static int do_attach(struct file *file, const struct iu_attach *a)
{
	struct iu_attach_one *items;
	int ret;

	if (!a->count || a->count > ATTACH_MAX)
		return -EINVAL;
	items = memdup_user(u64_to_user_ptr(a->items), a->count * sizeof(*items));
	if (IS_ERR(items))
		return PTR_ERR(items);
	ret = iu_slot_attach(file, items, a->count);
	kfree(items);
	return ret;
}

static int do_commit(struct file *file)
{
	mutex_lock(&iu_mutex);
	iu_ext_commit(file);
	iu_slot_commit(file);
	mutex_unlock(&iu_mutex);
	return 0;
}

static int run(struct file *file, unsigned int cmd, union argument *a)
{
	switch (cmd) {
	case IU_IOC_VERSION:
		return do_version(&a->version);
	case IU_IOC_KEY_ADD:
		return do_key_add(&a->key);
	case IU_IOC_HARVEST:
		return iu_harvest(&a->harvest);
	case IU_IOC_LOAD:
		return iu_ext_load(file, &a->load);
	case IU_IOC_BIND:
		return iu_ext_bind(&a->bind);
	case IU_IOC_SET_PARAM:
		return iu_ext_set_param(&a->param);
	case IU_IOC_SET_KRELOC:
		return iu_ext_set_kreloc(&a->kreloc);
	case IU_IOC_UNLOAD:
		return iu_ext_unload(a->id.id);
	case IU_IOC_SLOT_NEW:
		return iu_slot_new(file, &a->slot);
	case IU_IOC_SLOT_FREE:
		return iu_slot_free(a->id.id);
	case IU_IOC_ATTACH:
		return do_attach(file, &a->attach);
	case IU_IOC_DETACH:
		return iu_slot_detach(a->id.id);
	case IU_IOC_EXT_INFO:
		return iu_ext_info(&a->ext);
	case IU_IOC_PROG_INFO:
		return iu_prog_info(&a->prog);
	case IU_IOC_TIMING:
		return iu_ext_timing(&a->timing);
	}
	return -ENOTTY;
}

/*
 * The command's size is that of the caller's header, the structure's first word
 * that of its structure. So look the command up by number and answer any size.
 */
static unsigned int known(unsigned int cmd)
{
	static const unsigned int cmds[] = {
		IU_IOC_VERSION, IU_IOC_KEY_ADD, IU_IOC_HARVEST, IU_IOC_LOAD, IU_IOC_BIND,
		IU_IOC_SET_PARAM, IU_IOC_SET_KRELOC, IU_IOC_UNLOAD, IU_IOC_SLOT_NEW, IU_IOC_SLOT_FREE,
		IU_IOC_ATTACH, IU_IOC_DETACH, IU_IOC_EXT_INFO, IU_IOC_PROG_INFO,
		IU_IOC_TIMING,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cmds); i++)
		if (_IOC_TYPE(cmd) == 'U' && _IOC_NR(cmd) == _IOC_NR(cmds[i]) &&
		    _IOC_DIR(cmd) == _IOC_DIR(cmds[i]))
			return cmds[i];
	return 0;
}

static long dev_ioctl(struct file *f, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	union argument *a;
	u32 size, mine;
	long ret;

	if (cmd == IU_IOC_COMMIT)
		return do_commit(f);
	if (cmd == IU_IOC_KEY_SEAL) {
		iu_key_seal();
		return 0;
	}
	cmd = known(cmd);
	if (!cmd)
		return -ENOTTY;
	mine = _IOC_SIZE(cmd);
	if (get_user(size, (u32 __user *)user))
		return -EFAULT;
	if (size < sizeof(struct iu_id) || size > PAGE_SIZE)
		return -EINVAL;
	a = kzalloc(sizeof(*a), GFP_KERNEL);
	if (!a)
		return -ENOMEM;
	ret = copy_struct_from_user(a, mine, user, size);
	if (!ret) {
		ret = run(f, cmd, a);
		a->size = size;
		/* Also after a refusal: msg says why. */
		if (copy_to_user(user, a, min(size, mine)))
			ret = ret ?: -EFAULT;
	}
	kfree(a);
	return ret;
}

static int dev_open(struct inode *inode, struct file *f)
{
	return capable(CAP_SYS_ADMIN) ? 0 : -EPERM;
}

static int dev_release(struct inode *inode, struct file *f)
{
	mutex_lock(&iu_mutex);
	iu_slot_close(f);
	iu_ext_close(f);
	mutex_unlock(&iu_mutex);
	return 0;
}

static const struct file_operations fops = {
	.owner = THIS_MODULE,
	.open = dev_open,
	.release = dev_release,
	.unlocked_ioctl = dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "iu",
	.fops = &fops,
	.mode = 0600,
};

int iu_dev_init(void)
{
	return misc_register(&dev);
}

void iu_dev_exit(void)
{
	misc_deregister(&dev);
}
