#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# harvest_tags.sh [OBJECT]: prints harvest_tags.h for kernel/stubs/harvest_bpfel.o.
# A tag is what the kernel makes of a program when it is loaded: the first eight
# bytes of SHA-1 over its instructions, file descriptors of maps zeroed. In the
# object the loads of maps are not yet marked as such (src_reg 1). `make check` fails
# if the header and the object differ.
set -eu
object=${1:-$(dirname "$0")/../stubs/harvest_bpfel.o}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

tag() { # SECTION
	code=$tmp/$1
	"${OBJCOPY:-llvm-objcopy-22}" --dump-section "$1=$code" "$object" "$tmp/copy"
	readelf -rW "$object" | awk -v s="'.rel$1'" '/^Relocation section/ { on = $3 == s } on && $1 ~ /^[0-9a-f]+$/ { print $1 }' |
	while read -r at; do
		at=$((0x$at + 1)) # the registers: destination below, source above
		regs=$(od -An -v -t u1 -j "$at" -N 1 "$code" | tr -d ' ')
		# shellcheck disable=SC2059 # the format is the byte
		printf "\\$(printf %o $((regs | 16)))" | dd of="$code" bs=1 seek="$at" conv=notrunc status=none
	done
	sha1sum <"$code" | cut -c1-16 | sed 's/../0x&, /g; s/, $//'
}

cat <<END
/* SPDX-License-Identifier: GPL-2.0-only */
/* Made by harvest_tags.sh from kernel/stubs/harvest_bpfel.o. */
#ifndef IU_HARVEST_TAGS_H
#define IU_HARVEST_TAGS_H

/* They call the helpers of harvest.h, in its order. */
#define IU_HARVEST_XDP_TAG { $(tag xdp) }
#define IU_HARVEST_TC_TAG { $(tag tc) }
#define IU_HARVEST_KPROBE_TAG { $(tag kprobe) }

#endif
END
