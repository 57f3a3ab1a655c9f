// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scale multiplies what TestBMC does: IUPKG_LONG=1 IUPKG_BMC_SCALE=100 makes it a million
// requests compared and 200,000 frames.
func scale(t *testing.T) int {
	text := os.Getenv("IUPKG_BMC_SCALE")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("IUPKG_BMC_SCALE=%s", text)
	}
	return n
}

// bmcClient builds the client and makes a network of two ends in the machine:
// 10.1.0.1 with a memcached at 11211, which bmc will serve, and one at 11311 beside it;
// 10.1.0.2 in a namespace of its own, from where the client asks.
func (b *bed) bmcClient() string {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), "client")
	cmd := exec.CommandContext(b.ctx, "go", "build", "-trimpath", "-o", path, "./bench/bmc/client")
	cmd.Dir = b.Src
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("%v\n%s", err, out)
	}
	// What bmc answers goes to the other end only if that has a program too.
	source, pass := filepath.Join(b.t.TempDir(), "pass.c"), filepath.Join(b.t.TempDir(), "pass.o")
	if err := os.WriteFile(source, []byte(`__attribute__((section("xdp"), used)) int pass(void *ctx) { return 2; }`), 0o644); err != nil {
		b.t.Fatal(err)
	}
	if out, err := exec.CommandContext(b.ctx, "clang-22", "-O2", "-target", "bpf", "-c", source, "-o", pass).CombinedOutput(); err != nil {
		b.t.Fatalf("%v\n%s", err, out)
	}
	b.shell(`
		ip netns add client
		ip link add vs type veth peer name vc netns client
		ip addr add 10.1.0.1/24 dev vs && ip link set vs up
		ip -n client addr add 10.1.0.2/24 dev vc && ip -n client link set vc up && ip -n client link set lo up
		ip -n client link set vc xdp obj ` + pass + ` sec xdp
		for port in 11211 11311; do memcached -d -u nobody -l 10.1.0.1 -p $port -U $port -m 64 -t 4; done
		for i in $(seq 50); do ip netns exec client bash -c '</dev/tcp/10.1.0.1/11311' 2>/dev/null && exit 0; sleep 0.2; done; exit 1`)
	return path
}

// client runs the client, which must find nothing wrong.
func (b *bed) client(path string, limit time.Duration, args ...string) {
	b.t.Helper()
	argv := append([]string{"ip", "netns", "exec", "client", path, "-timeout", limit.String()}, args...)
	r, err := b.m.Run(b.ctx, argv...)
	if err != nil || r.Exit != 0 {
		b.t.Fatalf("client %s: exit %d, %v\n%s%s", strings.Join(args, " "), r.Exit, err, r.Stdout, r.Stderr)
	}
	b.t.Logf("client %s: %s", strings.Join(args, " "), r.Stdout)
}

// bmcCounts reads the counters of bmc, in their order.
func (b *bed) bmcCounts() []uint64 {
	b.t.Helper()
	var rows []struct {
		Values []struct {
			Value []string `json:"value"`
		} `json:"values"`
	}
	text := b.shell("bpftool -j map dump pinned /sys/fs/bpf/iupkg/bmc/maps/stats")
	if err := json.Unmarshal([]byte(text), &rows); err != nil {
		b.t.Fatal(err)
	}
	counts := make([]uint64, len(rows))
	for i, row := range rows {
		for _, cpu := range row.Values {
			for at, hex := range cpu.Value {
				n, err := strconv.ParseUint(strings.TrimPrefix(hex, "0x"), 16, 8)
				if err != nil {
					b.t.Fatal(err)
				}
				counts[i] += n << (8 * at)
			}
		}
	}
	return counts
}

func TestBMC(t *testing.T) {
	if os.Getenv("IUPKG_BMC_SCALE") == "" {
		t.Skip("takes minutes in an emulated machine: IUPKG_BMC_SCALE=1 runs it")
	}
	n := scale(t)
	b := newBed(t, "6.12")
	b.publish("extensions/bmc", "bmc", nil)
	b.run(0, nil, "setup")
	b.run(0, nil, "trust", "add", b.TrustFile(), "--names", "bmc")
	client := b.bmcClient()
	b.run(0, nil, "install", "bmc", "--set", "iface=vs")
	limit := timeout / 2

	t.Run("never stale", func(t *testing.T) {
		b.t = t
		for seed := 1; seed <= 2; seed++ {
			b.client(client, limit, "-seed", fmt.Sprint(seed), "-ops", fmt.Sprint(3000*n), "-keys", fmt.Sprint(2*seed), "check")
		}
		if c := b.bmcCounts(); c[0] < 100 {
			t.Errorf("the cache hardly answered: %v", c)
		}
	})
	t.Run("same as without", func(t *testing.T) {
		b.t = t
		before := b.bmcCounts()
		b.client(client, limit, "-conns", "4", "-ops", fmt.Sprint(10_000*n), "diff")
		if c := b.bmcCounts(); c[0]-before[0] < uint64(300*n) {
			t.Errorf("the cache hardly answered: %v, before %v", c, before)
		}
	})
	t.Run("damaged packets", func(t *testing.T) {
		b.t = t
		b.client(client, limit, "-ops", fmt.Sprint(2000*n), "fuzz")
	})
	b.t = t
	t.Logf("counters: %v", b.bmcCounts())
	if runs, faults := b.faults("bmc"); runs == 0 || len(faults) > 0 {
		t.Errorf("%d runs, faults %v", runs, faults)
	}
	b.run(0, nil, "remove", "bmc")
	b.checkLog()
}
