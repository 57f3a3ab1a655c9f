#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# build.sh KERNELRELEASE HEADERSDIR VMLINUZ OUTDIR [SOURCEDIR NAME]
#
# Builds OUTDIR/iu.ko, or OUTDIR/NAME.ko from another folder, with module BTF, stripped of debug data.
# Works in a scratch copy of the sources; does nothing if the module was made from the same sources,
# headers and release. VMLINUZ is read only where the headers come without a vmlinux
# (6.1): the base of module BTF is then unpacked from it. It may be "-" elsewhere.
#
# Needs make, gcc, pahole, binutils; for 6.1 also resolve_btfids, which is found in
# the headers or in another kernel's, or given as $RESOLVE_BTFIDS.
set -eu

die() {
	echo "build.sh: $*" >&2
	exit 1
}

[ $# -eq 4 ] || [ $# -eq 6 ] || die "usage: build.sh KERNELRELEASE HEADERSDIR VMLINUZ OUTDIR [SOURCEDIR NAME]"
release=$1 headers=$2 vmlinuz=$3 out=$4 name=${6:-iu}
self=$(cd "$(dirname "$0")" && pwd)/build.sh
src=$(cd "${5:-$(dirname "$0")}" && pwd)
[ -f "$headers/Module.symvers" ] || die "$headers: no kernel headers here"

hash=$(
	cd "$src"
	{
		echo "$release"
		sha256sum <"$headers/Module.symvers"
		cat Kbuild "$self" | sha256sum
		find . -maxdepth 1 -name '*.[chS]' | sort | xargs sha256sum
	} | sha256sum | cut -d' ' -f1
)
if [ -f "$out/$name.ko" ] && [ "$(cat "$out/$name.ko.hash" 2>/dev/null)" = "$hash" ]; then
	exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/src"
cp "$src"/Kbuild "$src"/*.[chS] "$work/src"

make -C "$headers" M="$work/src" KERNELRELEASE="$release" modules >"$work/log" 2>&1 || {
	cat "$work/log" >&2
	die "the build for $release failed"
}
# The compiler's and objtool's warnings are errors here; kbuild's missing vmlinux is not.
if grep -E 'warning:|WARNING:' "$work/log" >&2; then
	die "the build for $release has warnings"
fi
ko=$work/src/$name.ko

# The ELF inside a bzImage, by the boot protocol's header (Documentation/arch/x86/boot.rst).
field() { # OFFSET BYTES
	od -An -v -j "$1" -N "$2" -t "u$2" --endian=little "$vmlinuz" | tr -d ' '
}
unpack_vmlinux() { # TO
	[ -r "$vmlinuz" ] || die "$vmlinuz: cannot read the kernel image"
	[ "$(field 514 4)" = 1400005704 ] || die "$vmlinuz: not a bzImage" # "HdrS"
	start=$((($(field 497 1) + 1) * 512 + $(field 584 4)))
	tail -c +$((start + 1)) "$vmlinuz" | head -c "$(field 588 4)" >"$work/payload"
	case $(od -An -v -N 4 -t x1 "$work/payload" | tr -d ' ') in
	fd377a58) set -- "$1" xz -dc --single-stream ;;
	28b52ffd) set -- "$1" zstd -dcq ;;
	1f8b08*) set -- "$1" gzip -dc ;;
	*) die "$vmlinuz: compressed in a way this script does not know" ;;
	esac
	to=$1
	shift
	# The uncompressed size follows the stream, which some of these complain about.
	"$@" <"$work/payload" >"$to" 2>/dev/null || :
	[ "$(od -An -v -N 4 -t x1 "$to" | tr -d ' ')" = 7f454c46 ] || die "$vmlinuz: no ELF inside"
}

find_resolver() {
	for r in ${RESOLVE_BTFIDS:-} "$headers"/tools/bpf/resolve_btfids/resolve_btfids \
		/usr/lib/linux-kbuild-*/tools/bpf/resolve_btfids/resolve_btfids; do
		if [ -x "$r" ]; then
			echo "$r"
			return
		fi
	done
	die "resolve_btfids not found: install linux-headers of 6.12, or set RESOLVE_BTFIDS"
}

has_btf() {
	readelf -SW "$ko" | grep -q ' \.BTF  *PROGBITS'
}

if ! has_btf; then
	resolver=$(find_resolver)
	unpack_vmlinux "$work/vmlinux"
	flags=$(PAHOLE=pahole sh "$headers/scripts/pahole-flags.sh")
	# shellcheck disable=SC2086 # a list of flags
	LLVM_OBJCOPY=objcopy pahole -J $flags --btf_base "$work/vmlinux" "$ko"
	"$resolver" -b "$work/vmlinux" "$ko"
	has_btf || die "pahole made no BTF"
fi
strip -g "$ko"

mkdir -p "$out"
rm -f "$out/$name.ko.hash"
cp "$ko" "$out/$name.ko.new"
mv "$out/$name.ko.new" "$out/$name.ko"
echo "$hash" >"$out/$name.ko.hash"
