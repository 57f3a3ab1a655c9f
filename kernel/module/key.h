/* SPDX-License-Identifier: GPL-2.0-only */
/* Whose signatures count. */
#ifndef IU_KEY_H
#define IU_KEY_H

#include <linux/types.h>

int iu_key_init(void);
void iu_key_exit(void);

/* Adds an X.509 certificate, DER. -EPERM once sealed, -EKEYREJECTED not a certificate. */
int iu_key_add(const void *cert, size_t len, char *msg);
void iu_key_seal(void);
void iu_key_state(u32 *keys, u32 *sealed);

/*
 * 0 if `sig` is a PKCS#7 signature over `data` by a key in the keyring, else
 * -EKEYREJECTED. signer[IU_SIGNER_LEN]: what the kernel calls its certificate. With
 * iu_mutex held.
 */
int iu_key_verify(const void *data, size_t len, const void *sig, size_t sig_len, char *signer,
		  char *msg);

#endif
