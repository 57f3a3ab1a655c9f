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
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/verification.h>
#include <keys/asymmetric-type.h>

#include "ext.h"

static struct key *ring;	/* set once by init */
static bool sealed;		/* under iu_mutex; never cleared */

/*
 * Each key of the ring in a ring of its own, which nobody sees: the kernel says
 * that a signature is by some key of a ring, and not by which.
 */
struct single {
	struct list_head node;
	struct key *ring, *key;
};
static LIST_HEAD(singles);	/* under iu_mutex */

static struct key *new_ring(const char *name, key_perm_t user)
{
	return keyring_alloc(name, GLOBAL_ROOT_UID, GLOBAL_ROOT_GID, current_cred(),
			     (KEY_POS_ALL & ~KEY_POS_SETATTR) | user,
			     KEY_ALLOC_NOT_IN_QUOTA, NULL, NULL);
}

int iu_key_init(void)
{
	ring = new_ring(".iu", KEY_USR_VIEW | KEY_USR_READ | KEY_USR_SEARCH);
	return PTR_ERR_OR_ZERO(ring);
}

void iu_key_exit(void)
{
	struct single *s, *next;

	list_for_each_entry_safe(s, next, &singles, node) {
		list_del(&s->node);
		key_put(s->key);
		key_put(s->ring);
		kfree(s);
	}
	key_put(ring);
}

static struct key *new_key(struct key *in, const void *cert, size_t len)
{
	key_ref_t key = key_create_or_update(make_key_ref(in, true), "asymmetric", NULL, cert, len,
					     (KEY_POS_ALL & ~KEY_POS_SETATTR) |
					     KEY_USR_VIEW | KEY_USR_READ,
					     KEY_ALLOC_NOT_IN_QUOTA);

	return IS_ERR(key) ? ERR_CAST(key) : key_ref_to_ptr(key);
}

static int add(const void *cert, size_t len)
{
	struct single *s, *old;
	int ret;

	s = kzalloc(sizeof(*s), GFP_KERNEL);
	if (!s)
		return -ENOMEM;
	s->ring = new_ring(".iu.one", 0);
	if (IS_ERR(s->ring)) {
		ret = PTR_ERR(s->ring);
		goto no_ring;
	}
	s->key = new_key(s->ring, cert, len);
	if (IS_ERR(s->key)) {
		ret = PTR_ERR(s->key);
		goto no_key;
	}
	ret = key_link(ring, s->key);
	if (ret)
		goto no_link;
	/* The same certificate again takes the place of the first in the ring, and here. */
	list_for_each_entry(old, &singles, node) {
		if (!strcmp(old->key->description, s->key->description)) {
			list_del(&old->node);
			key_put(old->key);
			key_put(old->ring);
			kfree(old);
			break;
		}
	}
	list_add_tail(&s->node, &singles);
	return 0;
no_link:
	key_put(s->key);
no_key:
	key_put(s->ring);
no_ring:
	kfree(s);
	return ret;
}

int iu_key_add(const void *cert, size_t len, char *msg)
{
	int ret;

	mutex_lock(&iu_mutex);
	if (sealed) {
		iu_refuse(msg, "key: the keyring is sealed");
		ret = -EPERM;
	} else {
		ret = add(cert, len);
		if (ret) {
			iu_refuse(msg, "key: not an X.509 certificate that this kernel can use (%pe)",
				  ERR_PTR(ret));
			ret = ret == -ENOMEM ? ret : -EKEYREJECTED;
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

int iu_key_verify(const void *data, size_t len, const void *sig, size_t sig_len, char *signer,
		  char *msg)
{
	struct single *s;
	int ret = -ENOKEY;

	list_for_each_entry(s, &singles, node) {
		/* As for modules: detached, and no attributes of its own between bytes and signature. */
		ret = verify_pkcs7_signature(data, len, sig, sig_len, s->ring,
					     VERIFYING_MODULE_SIGNATURE, NULL, NULL);
		if (!ret) {
			strscpy(signer, s->key->description, IU_SIGNER_LEN);
			return 0;
		}
		if (ret != -ENOKEY)
			break;
	}
	if (ret == -ENOMEM)
		return ret;
	iu_refuse(msg, "signature: %s (%pe)",
		  ret == -ENOKEY ? "by no key in the keyring" : "not over this object", ERR_PTR(ret));
	return -EKEYREJECTED;
}
