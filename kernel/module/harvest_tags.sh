#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# harvest_tags.sh [OBJECT]: prints harvest_tags.h for kernel/stubs/harvest_bpfel.o.
# A tag is what the kernel makes of a program when it is loaded: the first eight
# bytes of SHA-1 over its instructions (file descriptors of maps zeroed; these
# programs have none). `make check` fails if the header and the object differ.
set -eu
object=${1:-$(dirname "$0")/../stubs/harvest_bpfel.o}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${OBJCOPY:-llvm-objcopy-22}" --dump-section "xdp=$tmp/xdp" "$object" "$tmp/copy"
tag=$(sha1sum <"$tmp/xdp" | cut -c1-16 | sed 's/../0x&, /g; s/, $//')
cat <<END
/* SPDX-License-Identifier: GPL-2.0-only */
/* Made by harvest_tags.sh from kernel/stubs/harvest_bpfel.o. */
#ifndef IU_HARVEST_TAGS_H
#define IU_HARVEST_TAGS_H

/* Calls bpf_xdp_adjust_head, then bpf_xdp_adjust_tail. */
#define IU_HARVEST_XDP_TAG { $tag }

#endif
END
