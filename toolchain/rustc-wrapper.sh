#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# cargo runs this in place of rustc. The hash that cargo passes as -C metadata
# depends on the folder of a crate and ends in its symbols; the crate's name
# does as well, since the vetted set has each crate once.
rustc=$1
shift
crate=
before=
for arg; do
	[ "$before" != --crate-name ] || crate=$arg
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
exec "$rustc" "$@"
