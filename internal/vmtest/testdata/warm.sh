#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# warm.sh IUPKG OBJECT: how long it takes from the start of a command to the
# first packet handled, in ms, median of RUNS: iupkg install of what is in the store,
# and bpftool and tc with OBJECT. Wants iut0 and iut1, a pair of interfaces.
set -euo pipefail
iupkg=$1 object=$2 runs=${RUNS:-7}

ip addr replace 10.9.0.1/24 dev iut0
ip neigh replace 10.9.0.2 lladdr "$(cat /sys/class/net/iut1/address)" dev iut0
packet() { echo x >/dev/udp/10.9.0.2/9; }
now() { echo $((${EPOCHREALTIME/./} / 10)); } # 10 us
# The first value of an array of counters: packets seen by XDP.
counted() { bpftool map lookup "$@" key 0 0 0 0 | grep -q 'value: 00 00'; }

median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)] / 100}'; }

ours() {
	local i begin end
	for ((i = 0; i < runs; i++)); do
		begin=$(now)
		"$iupkg" --offline --quiet --no-progress install ext >&2
		packet
		end=$(now)
		! counted pinned /sys/fs/bpf/iupkg/ext/maps/COUNTS || { echo 'no packet was handled' >&2; exit 1; }
		"$iupkg" --offline --quiet remove ext >&2
		echo $((end - begin))
	done
}
plain() {
	local i begin end
	for ((i = 0; i < runs; i++)); do
		begin=$(now)
		bpftool prog loadall "$object" /sys/fs/bpf/plain pinmaps /sys/fs/bpf/plainmaps
		bpftool net attach xdp pinned /sys/fs/bpf/plain/count_xdp dev iut1
		tc qdisc add dev iut1 clsact
		tc filter add dev iut1 ingress bpf direct-action pinned /sys/fs/bpf/plain/count_tc
		packet
		end=$(now)
		! counted pinned /sys/fs/bpf/plainmaps/counts || { echo 'no packet was handled' >&2; exit 1; }
		bpftool net detach xdp dev iut1
		tc qdisc del dev iut1 clsact
		rm -r /sys/fs/bpf/plain /sys/fs/bpf/plainmaps
		echo $((end - begin))
	done
}

echo "bpftool=$(plain | median)"
echo "install=$(ours | median)"
