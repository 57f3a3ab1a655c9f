#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# test/run.sh PLUGIN [FILE…]: runs the `RUN:` lines of each test, from test/,
# and prints "N passed, N failed" last. In a RUN line:
#
#   %s     the test file              %t     a scratch path of its own
#   %iu    opt with the plugin        %llc   llc with the flags of README.md
#   %rust  test/rust.sh: %rust FILE OUT compiles a crate all the way to OUT.o
#
# Tools come from LLVM's own bindir, so no version suffixes.
set -u
plugin=$(realpath "$1")
shift
cd "$(dirname "$0")" || exit 1
PATH=$(${LLVM_CONFIG:-llvm-config-22} --bindir):$PATH
export PATH IU_PLUGIN="$plugin"
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
[ $# -gt 0 ] || set -- *.ll refuse/*.ll rust/*.rs

llc='llc -O2 --code-model=kernel --relocation-model=static --stack-size-section --function-sections=0 --data-sections=0 --trap-unreachable --profile-guided-section-prefix=false --no-x86-call-frame-opt'
export IU_LLC="$llc"
passed=0 failed=0
for test in "$@"; do
	out=$tmp/$(echo "$test" | tr / _)
	script=$(sed -n 's/^.*RUN: //p' "$test" | sed \
		-e "s|%iu|opt --load-pass-plugin=$plugin|g" -e "s|%llc|$llc|g" \
		-e "s|%rust|sh rust.sh|g" -e "s|%s|$test|g" -e "s|%t|$out|g")
	if [ -n "$script" ] && printf 'set -e\n%s\n' "$script" | sh >"$out.log" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL $test"
		sed 's/^/    /' "$out.log" | head -40
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
