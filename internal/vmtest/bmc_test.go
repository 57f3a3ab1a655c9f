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
// requests compared.
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

// bmcBed is a machine with memcached twice, a client, and bmc to install.
func bmcBed(t *testing.T, publish func(b *bed)) (b *bed, client string) {
	if os.Getenv("IUPKG_BMC_SCALE") == "" {
		t.Skip("takes minutes in an emulated machine: IUPKG_BMC_SCALE=1 runs it")
	}
	b = newBed(t, "6.12")
	publish(b)
	b.run(0, nil, "setup")
	b.run(0, nil, "trust", "add", b.TrustFile(), "--names", "bmc")
	return b, b.bmcClient()
}

func TestBMC(t *testing.T) {
	b, client := bmcBed(t, func(b *bed) { b.publish("extensions/bmc", "bmc", nil) })
	n := scale(t)
	limit := timeout / 2
	for _, sets := range []string{"0", "65537"} {
		b.refused(2, []string{"sets", "1 to 65536"}, "install", "bmc", "--set", "iface=vs", "--set", "sets="+sets)
	}
	b.refused(2, []string{"max_value", "0 to 1400"}, "install", "bmc", "--set", "iface=vs", "--set", "max_value=1401")
	b.run(0, nil, "install", "bmc", "--set", "iface=vs", "--set", "sets=300", "--set", "settle_ms=200")
	if text := b.shell("bpftool -j map show pinned /sys/fs/bpf/iupkg/bmc/maps/cache"); !strings.Contains(text, `"max_entries":300`) {
		t.Errorf("sets=300 made %s", text)
	}

	t.Run("never stale", func(t *testing.T) {
		b.t = t
		for seed := 1; seed <= 2; seed++ {
			before := b.bmcCounts()
			b.client(client, limit, "-seed", fmt.Sprint(seed), "-ops", fmt.Sprint(1500*n), "-conns", "4", "-readers", "4", "-keys", fmt.Sprint(4*seed), "check")
			c := b.bmcCounts()
			hits, misses := c[0]-before[0], c[1]-before[1]
			t.Logf("%d hits, %d misses, %d changes", hits, misses, c[5]-before[5])
			if hits < (hits+misses)/4 || c[5]-before[5] < uint64(1400*n) {
				t.Errorf("the cache hardly answered: %d hits, %d misses, counters %v, before %v", hits, misses, c, before)
			}
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
		b.client(client, limit, "-ops", "100000", "fuzz")
	})
	b.t = t
	t.Logf("counters: %v", b.bmcCounts())
	if runs, faults := b.faults("bmc"); runs == 0 || len(faults) > 0 {
		t.Errorf("%d runs, faults %v", runs, faults)
	}
	if r := b.run(0, []string{`"perCPU"`}, "--json", "status", "bmc"); !strings.Contains(r.Stdout, `"hits"`) {
		t.Errorf("status shows no hits: %s", r.Stdout)
	}
	b.run(0, nil, "remove", "bmc")
	b.checkLog()
}

// TestBMCUnseen has a bmc that panics on some segments, so that the changes in them
// get to memcached unseen. No old value may be served then; and one is, if the count of
// what was missed is not looked at.
func TestBMCUnseen(t *testing.T) {
	const seen, panics = "    match conn::received(", `    if frame.get(place.start..place.end)?.starts_with(b"set boom ") {
        panic!("boom");
    }
    match conn::received(`
	b, client := bmcBed(t, func(b *bed) {
		for version, edits := range map[string]map[string]string{
			"1.3.0": {"lib.rs": seen},
			"1.4.0": {"lib.rs": seen, "clock.rs": "    GAPS.count()\n"},
		} {
			dir, err := b.CopyProject("extensions/bmc", "bmc-"+version, map[string]string{`version = "1.2.1"`: `version = "` + version + `"`})
			if err != nil {
				t.Fatal(err)
			}
			edit(t, filepath.Join(dir, "Cargo.toml"), `version = "1.2.1"`, `version = "`+version+`"`)
			edit(t, filepath.Join(dir, "Cargo.lock"), `version = "1.2.1"`, `version = "`+version+`"`)
			for file, from := range edits {
				to := panics
				if from != seen {
					to = "    GAPS.count() * 0\n"
				}
				edit(t, filepath.Join(dir, "src", file), from, to)
			}
			if err := b.Publish(b.ctx, dir); err != nil {
				t.Fatal(err)
			}
		}
	})
	install := func(version string) {
		b.run(0, nil, "install", "bmc@="+version, "--set", "iface=vs", "--set", "settle_ms=200")
	}
	install("1.3.0")
	b.client(client, timeout/2, "-ops", "5", "-pause", "1s", "unseen")
	// The first change of each round is seen, so the rest of its reads are hits.
	if c := b.bmcCounts(); c[0] < 5*10 {
		t.Errorf("the cache hardly answered: %v", c)
	}
	if _, faults := b.faults("bmc"); faults["panic"] != 5 {
		t.Errorf("faults %v, want 5 panics", faults)
	}
	b.run(0, nil, "remove", "bmc")

	install("1.4.0")
	r, err := b.m.Run(b.ctx, "ip", "netns", "exec", "client", client, "-ops", "5", "-pause", "1s", "unseen")
	if err != nil || r.Exit == 0 || !strings.Contains(r.Stderr, "stale") {
		t.Errorf("without the count, no old value was served: this test shows nothing (exit %d, %v)\n%s%s", r.Exit, err, r.Stdout, r.Stderr)
	}
	b.run(0, nil, "remove", "bmc")
}

func edit(t *testing.T, path, from, to string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), from) == 0 {
		t.Fatalf("%s has no %q", path, from)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}
