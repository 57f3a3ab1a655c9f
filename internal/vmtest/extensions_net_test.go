// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// fabric makes a network in the machine: xs (10.1.0.1) in the machine itself, and client (10.1.0.2), be1
// and be2 (10.1.0.11, 12) in namespaces of their names, all at one bridge. Programs are at xs. Generic XDP, since
// what a veth sends back natively arrives only if the other end has a program too.
func (b *bed) fabric() {
	b.t.Helper()
	b.peer = filepath.Join(b.t.TempDir(), "peer")
	cmd := exec.CommandContext(b.ctx, "go", "build", "-trimpath", "-o", b.peer, "./internal/vmtest/peer")
	cmd.Dir = b.Src
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("%v\n%s", err, out)
	}
	b.shell(`
		ip netns add fabric
		ip -n fabric link add br0 type bridge && ip -n fabric link set br0 up
		plug() { # NAMESPACE ADDRESS MAC
			ip link add x$1 address $3 type veth peer name p$1 netns fabric
			ip -n fabric link set p$1 master br0 up
			ip netns add $1 && ip link set x$1 netns $1
			ip -n $1 addr add $2/24 dev x$1 && ip -n $1 link set x$1 up && ip -n $1 link set lo up
		}
		ip link add xs address 02:00:00:00:01:01 type veth peer name ps netns fabric
		ip -n fabric link set ps master br0 up
		ip addr add 10.1.0.1/24 dev xs && ip link set xs up
		plug client 10.1.0.2 02:00:00:00:01:02
		plug be1 10.1.0.11 02:00:00:00:01:11
		plug be2 10.1.0.12 02:00:00:00:01:12
		peer=` + b.peer + `
		setsid $peer tls-serve 10.1.0.1:443 >/dev/null 2>&1 </dev/null &
		setsid $peer who 10.1.0.1:80 root >/dev/null 2>&1 </dev/null &
		for be in be1 be2; do
			# The service's address, which nobody is told of by ARP.
			for key in arp_ignore=1 arp_announce=2; do ip netns exec $be sysctl -qw net.ipv4.conf.all.$key; done
			ip -n $be addr add 10.1.0.100/32 dev lo
			ip netns exec $be setsid $peer who :80 $be >/dev/null 2>&1 </dev/null &
		done
		for to in 1/443 1/80 11/80 12/80; do
			for i in $(seq 100); do
				ip netns exec client bash -c "</dev/tcp/10.1.0.$to" 2>/dev/null && continue 2
				sleep 0.2
			done
			exit 1
		done`)
}

// ask runs the peer in the client's namespace; its answer.
func (b *bed) ask(args ...string) string {
	b.t.Helper()
	r, err := b.m.Run(b.ctx, append([]string{"ip", "netns", "exec", "client", b.peer}, args...)...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Logf("peer %s: %s", strings.Join(args, " "), r.Stdout)
	return strings.TrimSpace(r.Stdout)
}

func (b *bed) expect(what, want string) {
	b.t.Helper()
	if !strings.Contains(what, want) {
		b.t.Errorf("got %q, want %q", what, want)
	}
}

func (b *bed) sniFilter() {
	b.install("sni-filter", "iface=xs", "mode=generic", "reset=true")
	b.expect(b.ask("tls-dial", "10.1.0.1:443", "good.example"), "served")
	b.expect(b.ask("tls-dial", "10.1.0.1:443", "www.blocked.example"), "reset by peer")
	b.expect(b.ask("tls-dial", "10.1.0.1:443", "evil.test"), "served")
	b.shell(setMap("sni-filter", "blocked", text("evil.test", 64), le(0, 8)))
	b.expect(b.ask("tls-dial", "10.1.0.1:443", "evil.test"), "reset by peer")
	// Segments too small for the name to be in the first.
	b.shell("ip -n client link set xclient mtu 300 gso_max_segs 1")
	b.expect(b.ask("tls-dial", "10.1.0.1:443", "good.example"), "served")
	b.expect(b.ask("tls-dial", "10.1.0.1:443", "evil.test"), "reset by peer")
	b.shell("ip -n client link set xclient mtu 1500")
	if c := b.counters("sni-filter"); c["hellos"] != 6 || c["blocked"] != 3 || c["resets"] < 3 {
		b.t.Errorf("counters: %v", c)
	}
}

func (b *bed) matcher() {
	b.install("matcher", "iface=xs", "mode=generic", "port=80")
	b.expect(b.ask("send", "10.1.0.1:80", "GET /a/../b SELECT"), "answered")
	b.expect(b.ask("send", "10.1.0.1:80", "cat /etc/sh", "adow"), "answered")
	b.expect(b.ask("send", "10.1.0.1:80", "GET /a/..", "/../etc/passwd"), "timeout")
	c := b.counters("matcher")
	if c["matches"] != 3 || c["dropped"] < 1 {
		b.t.Errorf("counters: %v", c)
	}
	if !strings.Contains(b.shell("dmesg"), "shadow matches") {
		b.t.Error("no line in the kernel log")
	}
}

func (b *bed) l4lb() {
	// Making a table may take an emulated CPU that has to wait for a real one longer than the usual budget.
	b.install("l4lb", "iface=xs", "mode=generic", "refresh_ms=1", "budget=100ms")
	server := func(n, state int) string {
		return setMap("l4lb", "pool", le(uint64(n), 4), fmt.Sprintf("02 00 00 00 01 %d 01 %02x", 11+n, state))
	}
	const vip = "00 00 00 00 00 00 00 00 00 00 ff ff 0a 01 00 64 50 00 06 00"
	// Clients find the balancer at the service's address.
	b.shell("ip addr add 10.1.0.100/32 dev xs\n" + server(0, 1) + server(1, 1) + setMap("l4lb", "services", vip, le(0, 8)))
	const asked = 40
	answers := strings.Fields(b.ask("ask", "10.1.0.100:80", fmt.Sprint(asked)))
	if len(answers) != 4 || answers[0] != "be1" || answers[2] != "be2" || atoi(b.t, answers[1])+atoi(b.t, answers[3]) != asked {
		b.t.Fatalf("%d connections: %v", asked, answers)
	}
	// Connections that are open stay while theirs drains, and new ones go to the other.
	held := b.shell(`
		mkfifo hold.in; ip netns exec client ` + b.peer + ` hold 10.1.0.100:80 <hold.in >hold.out 2>&1 & exec 3>hold.in
		trap '' PIPE
		say() { echo >&3 || { cat hold.out >&2; exit 1; }; for i in $(seq 50); do [[ $(wc -l <hold.out) -ge $1 ]] && return; sleep 0.1; done; }
		say 1
		` + server(0, 2) + `say 2
		` + server(0, 1) + server(1, 2) + `say 3
		exec 3>&-; wait; sort -u hold.out; rm hold.in hold.out`)
	if n := len(strings.Fields(held)); n != 1 {
		b.t.Errorf("an open connection was moved, or lost: %q", held)
	}
	b.expect(b.ask("ask", "10.1.0.100:80", "10"), "be1 10")
	// One that is down loses all.
	b.shell(server(0, 0) + server(1, 1))
	b.expect(b.ask("ask", "10.1.0.100:80", "10"), "be2 10")
	b.shell(server(1, 0))
	b.expect(b.ask("ask", "10.1.0.100:80", "1"), "failed")
	if c := b.counters("l4lb"); c["placed"] < asked+20 || c["no_server"] == 0 || c["tables"] < 3 {
		b.t.Errorf("counters: %v", c)
	}
	b.shell("ip addr del 10.1.0.100/32 dev xs")
}

func (b *bed) quorum() {
	b.install("quorum", "iface=xs", "mode=generic", "node=9", "quorum=2")
	const slots = 50
	set := func(promised, leading uint64) {
		b.shell(setMap("quorum", "state", le(0, 4), le(promised, 8)) + setMap("quorum", "state", le(1, 4), le(leading, 8)))
	}
	// As a replica: nobody listens at the port, and all is acknowledged and logged, once the ballot is promised.
	b.expect(b.ask("paxos-lead", "10.1.0.2:5005", "1", "1", "10.1.0.1:5005"), "failed")
	set(1, 0)
	b.expect(b.ask("paxos-lead", "10.1.0.2:5005", fmt.Sprint(slots), "1", "10.1.0.1:5005"), fmt.Sprintf("decided %d", slots))
	b.expect(b.shell(b.peer+" paxos-log /sys/fs/bpf/iupkg/quorum/maps/log"), fmt.Sprintf("logged %d value %d", slots, slots-1))
	if c := b.counters("quorum"); c["accepted"] != slots || c["left"] == 0 {
		b.t.Errorf("counters of a replica: %v", c)
	}

	// As a leader of three replicas in user space, two of which decide: it hears of each slot once.
	set(0, 1)
	for node, ns := range []string{"client", "be1", "be2"} {
		b.shell(fmt.Sprintf(`ip netns exec %s setsid %s paxos-replica :5005 %d >/dev/null 2>&1 </dev/null &
			for i in $(seq 100); do ip netns exec %[1]s ss -Hlun sport = :5005 | grep -q . && exit 0; sleep 0.1; done; exit 1`, ns, b.peer, node+1))
	}
	said := b.shell(fmt.Sprintf("%s paxos-lead 10.1.0.1:5005 %d 1 10.1.0.2:5005 10.1.0.11:5005 10.1.0.12:5005", b.peer, slots))
	var decided, heard, repeated int
	if _, err := fmt.Sscanf(said, "decided %d heard %d repeated %d", &decided, &heard, &repeated); err != nil {
		b.t.Fatalf("%v: %s", err, said)
	}
	c := b.counters("quorum")
	if decided != slots || heard < slots || heard > slots+3*repeated || c["decided"] != slots || c["late"] == 0 {
		b.t.Errorf("the leader: %s; counters %v", said, c)
	}
}
