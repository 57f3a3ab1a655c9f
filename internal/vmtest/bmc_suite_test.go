// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// suite are the tests of memcached's own that speak to it over the network as any client does. Left out are
// those of what bmc has nothing to do with (TLS, SASL, storage on disk, the proxy, the slab allocator's
// movers), and those that want a memcached compiled for debugging.
var suite = strings.Fields(`64bit binary-get binary bogus-commands cas chunked-items evictions flags flush-all
	getandtouch getset incrdecr issue_104 issue_108 issue_14 issue_140 issue_152 issue_163 issue_183 issue_192 issue_22
	issue_260 issue_29 issue_3 issue_41 issue_42 issue_50 issue_61 issue_68 issue_70 item_size_max line-lengths lru
	malicious-commands metaget misbehave multiversioning noreply quit stats stats-conns stats-detail strtol-testing
	touch udp whitespace`)

// TestMemcachedSuite runs memcached's own tests, from Debian's source package, in a machine with bmc on the
// loopback interface in front of the memcacheds that they start. What they read over TCP they also read
// over UDP (testdata/beside-bmc.pl). A test that passes on this machine, without bmc, must pass there.
func TestMemcachedSuite(t *testing.T) {
	suite := suite
	if only := os.Getenv("IUPKG_SUITE"); only != "" {
		suite = strings.Fields(only)
	}
	b, _ := bmcBed(t, func(b *bed) { b.publish("extensions/bmc", "bmc", nil) })
	dir := memcachedSource(b)
	script := func(tests []string) string {
		return "cd " + dir + ` && for t in ` + strings.Join(tests, " ") + `; do
			if timeout 300 perl -It/lib t/$t.t >/tmp/suite.log 2>&1; then echo "ok $t"; else echo "failed $t"; tail -n 5 /tmp/suite.log >&2; fi
		done`
	}
	out, err := exec.CommandContext(b.ctx, "bash", "-c", script(suite)).Output()
	if err != nil {
		t.Fatal(err)
	}
	var passed []string
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "ok "); ok {
			passed = append(passed, name)
		}
	}
	if len(passed) < len(suite)*3/4 {
		t.Fatalf("without bmc, only these pass here: %v", passed)
	}
	// Its own, which the tests of bmc start, are in the way of the suite's.
	b.shell("pkill memcached; ip link set lo up; true")
	r := b.run(0, nil, "install", "bmc", "--set", "iface=lo", "--set", "settle_ms=50", "--set", "budget=100ms")
	if !strings.Contains(r.Stdout+r.Stderr, "generic") {
		t.Errorf("the loopback interface has no XDP of its own, and install does not say so: %s%s", r.Stdout, r.Stderr)
	}
	run, err := b.m.Shell(b.ctx, script(passed))
	if err != nil || run.Exit != 0 {
		t.Fatalf("exit %d, %v\n%s%s", run.Exit, err, run.Stdout, run.Stderr)
	}
	for _, name := range passed {
		if !strings.Contains(run.Stdout, "ok "+name+"\n") {
			t.Errorf("%s passes without bmc, and fails with it", name)
		}
	}
	t.Logf("%d of %d tests pass without bmc:\n%s%s", len(passed), len(suite), run.Stdout, run.Stderr)
	c := b.bmcCounts()
	t.Logf("counters: %v", c)
	if c[0] < 5 || c[5] < 1000 {
		t.Errorf("bmc saw little of it: %v", c)
	}
	if runs, faults := b.faults("bmc"); runs == 0 || len(faults) > 0 {
		t.Errorf("%d runs, faults %v", runs, faults)
	}
	b.run(0, nil, "remove", "bmc")
	b.checkLog()
}

// memcachedSource fetches the source package of Debian's memcached and makes its tests ready to be run with the
// memcached that is installed. Nothing of this machine's package manager is changed.
func memcachedSource(b *bed) string {
	b.t.Helper()
	apt := b.t.TempDir()
	patch, err := filepath.Abs("testdata/beside-bmc.pl")
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.CommandContext(b.ctx, "bash", "-euc", `
		cd "$1"
		mkdir -p parts lists/partial
		for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
			[ -f "$f" ] && grep -q debian "$f" || continue
			sed 's/^deb /deb-src /; s/^Types: .*/Types: deb-src/' "$f" >"parts/$(basename "$f" | sed 's/^sources.list$/main.list/')"
		done
		options=(-o Dir::Etc::SourceList=- -o Dir::Etc::SourceParts="$1/parts" -o Dir::State::Lists="$1/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o Acquire::Languages=none)
		[ "$(id -u)" != 0 ] || options+=(-o APT::Sandbox::User=root)
		apt-get "${options[@]}" update >&2 || true
		apt-get "${options[@]}" source --download-only memcached >&2
		mkdir source
		tar --strip-components=1 -C source -xf memcached_*.orig.tar.*
		cd source
		gcc -O2 -o timedrun timedrun.c
		ln -s "$(command -v memcached)" memcached-debug
		# Debian's is built without that option.
		sed -i 's/ -o relaxed_privileges//' t/lib/MemcachedTest.pm
		cat "$2" >>t/lib/MemcachedTest.pm
		pwd`, "memcached-source", apt, patch)
	var messages strings.Builder
	cmd.Stderr = &messages
	out, err := cmd.Output()
	if err != nil {
		b.t.Fatalf("the source of memcached: %v\n%s", err, messages.String())
	}
	if err := os.Chmod(filepath.Dir(apt), 0o755); err != nil {
		b.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
