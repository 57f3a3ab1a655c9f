// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

// startTraffic lets the machine talk to the registry until stopTraffic: one
// connection that stays and asks again and again, and new ones one after
// another.
func (b *bed) startTraffic() {
	b.t.Helper()
	host, port, _ := strings.Cut(strings.TrimPrefix(b.GuestRegistry(), "http://"), ":")
	port, _, _ = strings.Cut(port, "/")
	b.shell(`mkdir -p /run/traffic && cd /run/traffic && rm -f * && touch n-kept n-new
cat >kept <<'EOF'
exec 3<>/dev/tcp/` + host + `/` + port + ` || { echo connect >fail-kept; exit; }
n=0
while [ ! -e stop ]; do
	printf 'HEAD /v2/ HTTP/1.1\r\nHost: registry\r\n\r\n' >&3
	read -r -t 10 status <&3 || { echo "no answer after $n" >fail-kept; exit; }
	[[ $status == *200* ]] || { echo "$status" >fail-kept; exit; }
	while read -r -t 10 line <&3 && [ "$line" != $'\r' ]; do :; done
	n=$((n + 1)); echo >>n-kept
done
EOF
cat >new <<'EOF'
n=0
while [ ! -e stop ]; do
	timeout 10 bash -c '</dev/tcp/` + host + `/` + port + `' || { echo "after $n" >fail-new; exit; }
	n=$((n + 1)); echo >>n-new
done
EOF
setsid bash kept >/dev/null 2>&1 </dev/null & echo $! >pids
setsid bash new >/dev/null 2>&1 </dev/null & echo $! >>pids`)
}

// answers says how often each of the two was answered.
func (b *bed) answers() (kept, fresh int) {
	b.t.Helper()
	f := strings.Fields(b.shell(`cd /run/traffic; cat fail-* >&2 2>/dev/null && exit 1; wc -l <n-kept; wc -l <n-new`))
	return atoi(b.t, f[0]), atoi(b.t, f[1])
}

// traffic waits until both have been answered a few times more.
func (b *bed) traffic() {
	b.t.Helper()
	kept, fresh := b.answers()
	for range 100 {
		b.shell("sleep 0.2")
		if k, f := b.answers(); k > kept+5 && f > fresh+2 {
			return
		}
	}
	b.t.Fatal("there is no traffic")
}

// stopTraffic fails unless every connection was answered to its end.
func (b *bed) stopTraffic() {
	b.t.Helper()
	b.shell(`cd /run/traffic; touch stop; for p in $(cat pids); do while [ -e /proc/$p ]; do sleep 0.1; done; done`)
	kept, fresh := b.answers()
	b.t.Logf("%d answers on one connection, %d new connections", kept, fresh)
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// seen is how many packets xdp-count has counted, by its map of protocols, and
// how many the card has received.
func (b *bed) seen() (counted, received int) {
	b.t.Helper()
	out := b.shell(`bpftool -j map dump pinned /sys/fs/bpf/iupkg/xdp-count/maps/protocols`)
	var dump []struct {
		Values []struct{ Value []string } `json:"values"`
	}
	if err := json.Unmarshal([]byte(out), &dump); err != nil {
		b.t.Fatalf("%v: %s", err, out)
	}
	for _, e := range dump {
		for _, cpu := range e.Values {
			for i, hex := range cpu.Value {
				n, err := strconv.ParseUint(strings.TrimPrefix(hex, "0x"), 16, 8)
				if err != nil {
					b.t.Fatal(err)
				}
				counted += int(n) << (8 * i)
			}
		}
	}
	return counted, atoi(b.t, b.shell("cat /sys/class/net/eth0/statistics/rx_packets"))
}

// An upgrade and the way back under traffic: no connection fails, no packet
// passes uncounted, what was counted stays; an upgrade that fails changes nothing.
// Then by a lock file.
func TestUpgrade(t *testing.T) {
	for _, kernel := range []string{"6.12", "6.1"} {
		t.Run(kernel, func(t *testing.T) {
			b := newBed(t, kernel)
			sample := "runtime-crate/samples/xdp_count"
			b.publish(sample, "v0", nil)
			b.run(0, nil, "setup")
			b.run(0, nil, "trust", "add", b.TrustFile())
			b.run(0, []string{"nothing to do"}, "upgrade")
			b.run(0, nil, "install", "xdp-count")
			b.run(0, []string{"xdp-count 0.1.0 stays", "nothing to do"}, "upgrade")
			b.publish(sample, "v1", map[string]string{`version = "0.1.0"`: `version = "0.1.1"`})
			b.run(0, []string{"replace", "0.1.1"}, "upgrade", "--dry-run")
			b.run(0, []string{"0.1.0"}, "list")

			counted, received := b.seen()
			b.startTraffic()
			b.traffic()
			b.run(0, []string{"replaced, now xdp-count 0.1.1"}, "upgrade")
			b.traffic()
			b.run(0, []string{"0.1.1"}, "status")
			b.run(0, []string{"replaced, now xdp-count 0.1.0"}, "rollback")
			b.traffic()
			b.run(0, []string{"replaced, now xdp-count 0.1.1"}, "upgrade", "xdp-count")
			b.traffic()
			b.run(0, []string{"RUNS/S", "xdp-count/count", "xdp-count/sent", "running"}, "top", "-n", "2", "--interval", "500ms")
			b.run(0, []string{`"runsPerSecond": `, `"program": "count"`}, "top", "--json")
			b.stopTraffic()
			b.run(0, []string{"xdp-count: 0.1.0: loaded", "xdp-count: 0.1.1: loaded"}, "logs", "xdp-count")
			b.run(0, []string{"has nothing of this"}, "logs", "other")
			counted2, received2 := b.seen()
			in, c := received2-received, counted2-counted
			t.Logf("%d packets came in, %d were counted", in, c)
			// Not all that comes in is IPv4: ARP and router advertisements are few.
			if c < 50 || c > in || in-c > 10 {
				t.Errorf("%d packets came in and %d were counted", in, c)
			}
			b.shell(`[ $(grep -c ^iux_ /proc/modules) = 1 ]`)

			b.publish(sample, "v2", map[string]string{
				`version = "0.1.0"`: `version = "0.1.2"`,
				`default = "eth0"`:  `default = "eth9"`,
			})
			b.refused(2, []string{"eth9"}, "upgrade")
			b.run(0, []string{"0.1.1"}, "status")
			b.run(0, nil, "verify")

			// Locked as it is, it is installed so again although there is a newer one.
			b.run(0, []string{"locked 1 package"}, "lock", "--lock", "/run/iupkg.lock")
			b.run(0, nil, "remove", "xdp-count")
			b.run(0, []string{"loaded xdp-count 0.1.1"}, "install", "--frozen", "--lock", "/run/iupkg.lock")
			b.run(0, nil, "remove", "xdp-count")
			b.shell(`sed 's/"release": "[^"]*"/"release": "6.0.1"/' /run/iupkg.lock >/run/other.lock`)
			b.refused(3, []string{"was locked as 6.0.1"}, "install", "--frozen", "--lock", "/run/other.lock")
			b.checkLog()
		})
	}
}
