#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# test/fuzz.sh PLUGIN: the pass over IR that nobody wrote. IU_FUZZ rounds of each kind (default 15), from seed
# IU_FUZZ_SEED (default 1) on. Prints "N passed, N failed" last; what failed is kept in the folder that is named.
#
#   stress   what llvm-stress makes, called by a program: nearly all of it is refused. The pass must say why and exit
#            with 1, whatever it sees: a crash, an internal error or a hang is a failure.
#   mangle   programs of test/rust after random passes of LLVM, which change nothing that they do: loops are turned
#            round, merged, made irreducible, calls inlined and taken apart. The pass must take them, what it makes
#            must pass its audit and compile, and every loop must be bounded or polled (the pass looks again itself).
set -u
plugin=$(realpath "$1")
cd "$(dirname "$0")" || exit 1
PATH=$(${LLVM_CONFIG:-llvm-config-22} --bindir):$PATH
export PATH IU_PLUGIN="$plugin"
export IU_LLC="llc -O2 --code-model=kernel --relocation-model=static --function-sections=0 --data-sections=0 --trap-unreachable --no-x86-call-frame-opt"
rounds=${IU_FUZZ:-15}
seed=${IU_FUZZ_SEED:-1}
work=$(mktemp -d) || exit 1
passed=0 failed=0 taken=0

# The n-th of the words, by a generator of its own: sh has none.
state=$seed
pick() {
	state=$(((state * 1103515245 + 12345) % 2147483648))
	n=$((state / 65536 % $#))
	shift "$n"
	picked=$1
}

fail() { # WHAT FILE…
	failed=$((failed + 1))
	echo "FAIL $1"
	shift
	tail -n 5 "$1.log" | cut -c1-300 | sed 's/^/    /'
	mkdir -p "$work/failed"
	cp "$@" "$work/failed/"
}

# run FILE IN: the pass over IN. 0: taken; 1: refused with reasons; anything else is a failure.
run() {
	timeout 120 opt --load-pass-plugin="$plugin" -passes='iu-prepare,lto<O2>,iu<name=t;version=1.0.0>' "$2" -o "$1.out.bc" >"$1.log" 2>&1
	status=$?
	if grep -qE 'iu: internal|Stack dump|Assertion|PLEASE submit' "$1.log"; then
		return 99
	fi
	case $status in
	0) return 0 ;;
	1) grep -q '^error: iu: ' "$1.log" && return 1 ;;
	esac
	return 99
}

marker='@M = constant <{ [40 x i8], ptr, i64 }> <{ [40 x i8] c"p\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\02\00\00\00", ptr @shim, i64 0 }>, section ".iu.marker", align 8'
i=0
while [ "$i" -lt "$rounds" ]; do
	f=$work/stress-$((seed + i))
	pick 20 60 150 400
	{
		echo 'target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"'
		echo 'target triple = "x86_64-unknown-none-elf"'
		echo "$marker"
		llvm-stress -seed $((seed + i)) -size "$picked"
		echo 'define i32 @shim(ptr %c) {'
		echo '  call void @autogen_SD'$((seed + i))'(ptr %c, ptr %c, ptr %c, i32 1, i64 2, i8 3)'
		echo '  ret i32 2'
		echo '}'
	} | sed "s/@autogen_SD[0-9]*/@autogen_SD$((seed + i))/; /^source_filename/d" >"$f.ll"
	run "$f" "$f.ll"
	case $? in
	0) passed=$((passed + 1)) taken=$((taken + 1)) ;;
	1) passed=$((passed + 1)) ;;
	*) fail "stress $((seed + i))" "$f" "$f.ll" ;;
	esac
	i=$((i + 1))
done

passes='function(loop(loop-rotate)) function(simplifycfg) function(jump-threading) function(reg2mem) function(mem2reg)
 function(lower-switch) function(structurizecfg) function(tailcallelim) function(break-crit-edges) function(unify-loop-exits)
 function(fix-irreducible) function(loop-unroll) function(loop-mssa(licm)) function(loop-mssa(simple-loop-unswitch<nontrivial>))
 function(gvn) function(newgvn) function(loop-simplify) function(lcssa) function(instcombine) function(mergeicmps) function(sink)
 function(nary-reassociate) function(irce) function(loop-distribute) function(loop-fusion) function(mergereturn) function(scalarizer)
 mergefunc argpromotion deadargelim hotcoldsplit partial-inliner called-value-propagation attributor iroutliner'
programs=
for src in rust/bounds.rs rust/indirect.rs; do
	name=$work/$(basename "$src" .rs)
	if sh rust.sh "$src" "$name" >"$name.log" 2>&1; then
		programs="$programs $name.linked.bc"
	else
		fail "$src" "$name" "$src"
	fi
done
i=0
while [ "$i" -lt "$rounds" ] && [ -n "$programs" ]; do
	f=$work/mangle-$((seed + i))
	pick $programs
	in=$picked
	pipeline=
	for _ in 1 2 3 4 5 6; do
		pick $passes
		pipeline=$pipeline${pipeline:+,}$picked
	done
	echo "$in $pipeline" >"$f.pipeline"
	# Only what a program needs: mangling all of core takes minutes.
	if ! timeout 120 opt --load-pass-plugin="$plugin" -passes="iu-prepare,globaldce,$pipeline" "$in" -o "$f.bc" >"$f.log" 2>&1; then
		# LLVM's own passes are not what is tested.
		passed=$((passed + 1))
	elif ! run "$f" "$f.bc"; then
		fail "mangle $((seed + i)): $pipeline" "$f" "$f.pipeline"
	elif ! opt --load-pass-plugin="$plugin" -passes=verify "$f.out.bc" -disable-output >"$f.log" 2>&1 ||
		! $IU_LLC -filetype=obj "$f.out.bc" -o "$f.o" >"$f.log" 2>&1; then
		fail "compile $((seed + i)): $pipeline" "$f" "$f.pipeline"
	else
		passed=$((passed + 1)) taken=$((taken + 1))
	fi
	i=$((i + 1))
done
echo "$taken taken"
echo "$passed passed, $failed failed"
if [ "$failed" -ne 0 ]; then
	echo "see $work/failed"
	exit 1
fi
rm -rf "$work"
