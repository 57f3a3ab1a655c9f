#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cargo runs this in place of rustc. The hash that cargo passes as -C metadata
# depends on the folder of a crate and ends in its symbols; the crate's name
# does as well, since the vetted set has each crate once.
#
# Of the extension itself (IUPKG_ROOT is its name) the compiler is also asked what it
# made of the source, beside the archive: NAME.expanded after macros, NAME.mir with
# every path resolved. Both are for the checks of views.go. The second solver of trait
# bounds must agree with the first: it refuses some of what the first unsoundly accepts.
rustc=$1
shift
crate=
dir=
extra=
source=
before=
for arg; do
	case $before in
	--crate-name) crate=$arg ;;
	--out-dir) dir=$arg ;;
	esac
	case $arg in
	extra-filename=*) extra=${arg#extra-filename=} ;;
	*.rs) source=$arg ;;
	esac
	before=$arg
done
left=$#
while [ "$left" -gt 0 ]; do
	arg=$1
	shift
	case $arg in
	metadata=*) [ -z "$crate" ] || arg=metadata=iupkg-$crate ;;
	-Cmetadata=*) [ -z "$crate" ] || arg=-Cmetadata=iupkg-$crate ;;
	esac
	set -- "$@" "$arg"
	left=$((left - 1))
done
# cargo compiles iu with relative paths, which an extension has as well.
[ "$crate" != iu ] || set -- "$@" --remap-path-prefix=src=iu/src
if [ -z "$IUPKG_ROOT" ] || [ "$crate" != "$IUPKG_ROOT" ] || [ -z "$source" ]; then
	exec "$rustc" "$@"
fi

# What an author's constants and macros may take of the machine.
ulimit -S -t "${IUPKG_CPU_SECONDS:-120}"
ulimit -S -v "${IUPKG_MEMORY_KIB:-6000000}"

# view OUTPUT ARG…: one more run, which makes OUTPUT and no archive. Its arguments but
# for --emit and --out-dir.
view() {
	output=$1
	shift
	left=$#
	while [ "$left" -gt 0 ]; do
		arg=$1
		shift
		left=$((left - 1))
		case $arg$1 in
		--emit=*) continue ;;
		-Cextra-filename=*)
			shift
			left=$((left - 1))
			continue
			;;
		--out-dir*)
			shift
			left=$((left - 1))
			continue
			;;
		esac
		set -- "$@" "$arg"
	done
	exec "$rustc" "$@" -o "$output" >"$output.log" 2>&1
}

# The first run alone speaks, unless only another one fails.
base=$dir/$crate$extra
view "$base.expanded" "$@" -Zunpretty=expanded &
expanded=$!
view "$base.mir" "$@" -Zunpretty=mir -Zmir-opt-level=0 -Zmir-include-spans=on -Ztrim-diagnostic-paths=no \
	-Znext-solver=globally &
mir=$!
"$rustc" "$@"
status=$?
if [ "$status" = 152 ]; then
	echo "error: compiling the extension takes more than ${IUPKG_CPU_SECONDS:-120} seconds: a constant, static or macro is too large" >&2
fi
# What it refuses needs no other look, which may take long.
[ "$status" = 0 ] || kill "$expanded" "$mir" 2>/dev/null
wait "$expanded" || [ "$status" != 0 ] || { status=$?; cat "$base.expanded.log" >&2; }
wait "$mir" || [ "$status" != 0 ] || { status=$?; cat "$base.mir.log" >&2; }
exit "$status"
