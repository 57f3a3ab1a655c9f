/* SPDX-License-Identifier: GPL-2.0-only */
/* Is what the module loader mapped the signed object, and nothing else? */
#ifndef IU_IMAGE_H
#define IU_IMAGE_H

#include "elf.h"

struct module;

int iu_image_init(void);
void iu_image_exit(void);

/* The live module of this name, pinned; NULL if there is none. */
struct module *iu_image_get(const char *name);

/*
 * Checks the module against the object; sec[].addr are hints from user space.
 * 0, -EBADMSG (the image is not the object), -ENOEXEC (the object cannot be
 * relocated) or -ENOMEM. A refusal is logged and left in msg. *harmless: no
 * relocation is against a symbol that could end a run or looks at its frame.
 */
int iu_image_check(const struct module *mod, struct iu_elf *e, bool *harmless, char *msg);

unsigned long iu_image_bytes(const struct module *mod);

#endif
