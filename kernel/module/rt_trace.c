// SPDX-License-Identifier: GPL-2.0-only
/* Runtime functions that say who is running. They hold in every context. */
#include "rt.h"

#include <linux/cred.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/uidgid.h>

static_assert(TASK_COMM_LEN == 16);

u64 iu_rt_task_id(void)
{
	return (u64)(u32)current->tgid << 32 | (u32)current->pid;
}
EXPORT_SYMBOL_GPL(iu_rt_task_id);

u64 iu_rt_task_user(void)
{
	kuid_t uid;
	kgid_t gid;

	current_uid_gid(&uid, &gid);
	return (u64)__kgid_val(gid) << 32 | __kuid_val(uid);
}
EXPORT_SYMBOL_GPL(iu_rt_task_user);

/* Another CPU may be changing it: what is read is terminated all the same. */
void iu_rt_task_comm(u8 *to)
{
	strscpy_pad((char *)to, current->comm, TASK_COMM_LEN);
}
EXPORT_SYMBOL_GPL(iu_rt_task_comm);
