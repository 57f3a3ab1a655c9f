// SPDX-License-Identifier: GPL-2.0-only
/*
 * The keyring ".iu". User space may look at it (keyctl, /proc/keys) but nobody
 * has permission to write to it or to change its permissions; certificates come
 * in by iu_key_add only, and not even so after the seal.
 */
#include "key.h"

#include <linux/cred.h>
#include <linux/err.h>
#include <linux/key.h>
#include <linux/mutex.h>
#include <linux/verification.h>
#include <keys/asymmetric-type.h>

#include "ext.h"

static struct key *ring;	/* set once by init */
static bool sealed;		/* under iu_mutex; never cleared */

int iu_key_init(void)
{
	ring = keyring_alloc(".iu", GLOBAL_ROOT_UID, GLOBAL_ROOT_GID, current_cred(),
			     (KEY_POS_ALL & ~KEY_POS_SETATTR) |
			     KEY_USR_VIEW | KEY_USR_READ | KEY_USR_SEARCH,
			     KEY_ALLOC_NOT_IN_QUOTA, NULL, NULL);
	return PTR_ERR_OR_ZERO(ring);
}

void iu_key_exit(void)
{
	key_put(ring);
}

int iu_key_add(const void *cert, size_t len, char *msg)
{
	key_ref_t key;
	int ret = 0;

	mutex_lock(&iu_mutex);
	if (sealed) {
		iu_refuse(msg, "key: the keyring is sealed");
		ret = -EPERM;
	} else {
		key = key_create_or_update(make_key_ref(ring, true), "asymmetric", NULL, cert, len,
					   (KEY_POS_ALL & ~KEY_POS_SETATTR) |
					   KEY_USR_VIEW | KEY_USR_READ,
					   KEY_ALLOC_NOT_IN_QUOTA);
		if (IS_ERR(key)) {
			iu_refuse(msg, "key: not an X.509 certificate that this kernel can use (%pe)",
				  ERR_CAST(key));
			ret = PTR_ERR(key) == -ENOMEM ? -ENOMEM : -EKEYREJECTED;
		} else {
			key_ref_put(key);
		}
	}
	mutex_unlock(&iu_mutex);
	return ret;
}

void iu_key_seal(void)
{
	mutex_lock(&iu_mutex);
	sealed = true;
	mutex_unlock(&iu_mutex);
}

void iu_key_state(u32 *keys, u32 *is_sealed)
{
	mutex_lock(&iu_mutex);
	*keys = ring->keys.nr_leaves_on_tree;
	*is_sealed = sealed;
	mutex_unlock(&iu_mutex);
}

int iu_key_verify(const void *data, size_t len, const void *sig, size_t sig_len, char *msg)
{
	/* As for modules: detached, and no attributes of its own between bytes and signature. */
	int ret = verify_pkcs7_signature(data, len, sig, sig_len, ring,
					 VERIFYING_MODULE_SIGNATURE, NULL, NULL);

	if (!ret)
		return 0;
	if (ret == -ENOMEM)
		return ret;
	iu_refuse(msg, "signature: %s (%pe)",
		  ret == -ENOKEY ? "by no key in the keyring" : "not over this object", ERR_PTR(ret));
	return -EKEYREJECTED;
}
