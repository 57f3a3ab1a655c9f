#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# BMC on two real machines; docs/evaluation.md says what for. In the repository's root, after `make build`:
#
#   on the server, as root    bench/bmc/metal.sh server IFACE alone|bmc|ebpf
#   on the client             bench/bmc/metal.sh client SERVER-ADDRESS
#
# The server is put into one of three states and stays in it: memcached alone, with the extension, or with the
# same design in eBPF. The client then prints a line for each size of value and hit ratio. Of the environment:
# SETS of bmc's cache; SOCKETS, KEYS, SIZES, HITS in percent and LENGTH of a measurement of
# the client, and CLIENT, a client that was built elsewhere (go build ./bench/bmc/client).
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/env

pins=/sys/fs/bpf/bmc-baseline
threads=$(nproc)

clear_iface() {
	bin/iupkg remove bmc --yes 2>/dev/null || true
	ip link set dev "$1" xdp off 2>/dev/null || true
	tc qdisc del dev "$1" clsact 2>/dev/null || true
	rm -rf "$pins"
}

baseline() {
	local dir
	dir=$(mktemp -d)
	clang-22 -O2 -g -target bpf -mcpu=v3 -c bench/ebpf/bmc/bmc.bpf.c -o "$dir/bmc.o"
	mkdir -p "$pins"
	bpftool prog loadall "$dir/bmc.o" "$pins" pinmaps "$pins/maps"
	local i=0 piece
	for piece in hash_key write_one collect write_all scan forget; do
		bpftool map update pinned "$pins/maps/pieces" key "$i" 0 0 0 value pinned "$pins/$piece"
		i=$((i + 1))
	done
	bpftool map update pinned "$pins/maps/pieces_tc" key 0 0 0 0 value pinned "$pins/update"
	ip link set dev "$1" xdpdrv pinned "$pins/rx"
	tc qdisc add dev "$1" clsact
	tc filter add dev "$1" egress bpf direct-action pinned "$pins/tx"
	rm -r "$dir"
}

# What the figures hang on, so that others can tell whether theirs are comparable.
describe() {
	grep -m1 'model name' /proc/cpuinfo
	echo "cpus: $(nproc), kernel: $(uname -r), driver: $(readlink -f "/sys/class/net/$1/device/driver" | xargs basename)"
	grep -r . /sys/devices/system/cpu/vulnerabilities 2>/dev/null | sed 's|.*/||' | grep Mitigation || true
	cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor 2>/dev/null || true
}

case ${1-} in
server)
	iface=$2 mode=$3
	describe "$iface"
	clear_iface "$iface"
	pkill -x memcached || true
	while pgrep -x memcached >/dev/null; do sleep 0.1; done # it holds the port until it is gone
	memcached -d -u nobody -p 11211 -U 11211 -m 4096 -t "$threads"
	until (: </dev/tcp/127.0.0.1/11211) 2>/dev/null; do
		pgrep -x memcached >/dev/null || { echo 'metal.sh: error: memcached does not start' >&2; exit 1; }
		sleep 0.1
	done
	case $mode in
	alone) ;;
	# From a registry that has it and whose publisher is trusted: see README.md.
	bmc) bin/iupkg install bmc --set iface="$iface" --set sets="${SETS:-65536}" ;;
	ebpf) baseline "$iface" ;;
	*) echo "metal.sh: error: $mode is none of alone, bmc, ebpf" >&2; exit 2 ;;
	esac
	echo "$mode: ready"
	;;
client)
	client=${CLIENT:-$(mktemp)}
	[ -n "${CLIENT-}" ] || go build -o "$client" ./bench/bmc/client
	for size in ${SIZES:-32 256 1024}; do
		for hit in ${HITS:-50 90 100}; do
			printf '%4d bytes, %3d%% hits: ' "$size" "$hit"
			"$client" -server "$2:11211" -readers "${SOCKETS:-256}" -keys "${KEYS:-10000}" -size "$size" -hit "$hit" -for "${LENGTH:-30s}" load
		done
	done
	[ -n "${CLIENT-}" ] || rm "$client"
	;;
*)
	sed -n '3,13s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac
