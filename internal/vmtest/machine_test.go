// SPDX-License-Identifier: Apache-2.0

// Package vmtest tries bad input and faulty extensions through bin/iupkg in a
// machine with a stock kernel: each is refused or contained with the promised
// exit code, says what to do, and leaves the machine as it was.
package vmtest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/iupkg/iupkg/internal/testbed"
	"github.com/iupkg/iupkg/kernel/vm"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/toolchain"
)

// bed is one machine and the publisher it installs from.
type bed struct {
	*testbed.Publisher
	t   *testing.T
	ctx context.Context
	m   *vm.Machine
	// peer is the program at the other end, once fabric has built it.
	peer string
}

func newBed(t *testing.T, kernel string) *bed {
	t.Helper()
	return newBedOn(t, vm.Config{Kernel: kernel, CPUs: 2, MemMiB: 1024})
}

func newBedOn(t *testing.T, cfg vm.Config) *bed {
	t.Helper()
	b := newPublisher(t)
	b.boot(cfg)
	return b
}

// newPublisher is a bed with no machine yet.
func newPublisher(t *testing.T) *bed {
	t.Helper()
	src, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	p := &testbed.Publisher{Src: src, Dir: t.TempDir(), Say: t.Logf}
	if _, err := os.Stat(p.IUPkg()); err != nil {
		t.Skip("bin/iupkg is not built: make build")
	}
	// The test's own context ends before its clean-up starts.
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	t.Cleanup(cancel)
	if err := p.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	b := &bed{Publisher: p, t: t, ctx: ctx}
	t.Cleanup(b.halt)
	return b
}

// timeout bounds one test; sweeps that are run on purpose take longer.
var timeout = func() time.Duration {
	if os.Getenv("IUPKG_LONG") != "" {
		return 3 * time.Hour
	}
	return 10 * time.Minute
}()

// boot starts a machine; the one before, if there is one, is halted.
func (b *bed) boot(cfg vm.Config) {
	b.t.Helper()
	b.halt()
	m, err := vm.Start(b.ctx, cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.m = m
}

// halt pulls the plug.
func (b *bed) halt() {
	if b.m == nil {
		return
	}
	if err := b.m.Stop(); err != nil {
		b.t.Error(err)
	}
	b.m = nil
}

// publishExt publishes a version of the extension by hand, attached to iface.
func (b *bed) publishExt(version, iface string, edit func(*manifest.Manifest), flags ...string) {
	b.t.Helper()
	dir := filepath.Join(b.Dir, "ext-"+version)
	err := testbed.MakeExt(b.Src, dir, version, iface, edit, flags...)
	if err == nil {
		_, err = b.Run(b.ctx, "publish", dir, "--no-build", "--key", testbed.Key, "--registry", b.Registry(), "--no-progress")
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// publishVariants publishes a version of the extension with an object for each edit.
func (b *bed) publishVariants(version, iface string, edits ...func(*manifest.Manifest)) {
	b.t.Helper()
	dir := filepath.Join(b.Dir, "ext-"+version)
	var err error
	for i, edit := range edits {
		at := dir
		if i > 0 {
			at = fmt.Sprintf("%s-%d", dir, i)
		}
		if err = testbed.MakeExt(b.Src, at, version, iface, edit); err == nil && i > 0 {
			err = os.CopyFS(filepath.Join(toolchain.OutputDir(dir), "variants", fmt.Sprint(i)), os.DirFS(toolchain.OutputDir(at)))
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
	if _, err := b.Run(b.ctx, "publish", dir, "--no-build", "--key", testbed.Key, "--registry", b.Registry(), "--no-progress"); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) publish(project, name string, edits map[string]string) {
	b.t.Helper()
	dir, err := b.CopyProject(project, name, edits)
	if err == nil {
		err = b.Publish(b.ctx, dir)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// run is iupkg in the machine, which must exit with code and say every one of
// the texts.
func (b *bed) run(code int, says []string, args ...string) vm.Result {
	b.t.Helper()
	r, err := b.Guest(b.ctx, b.m, args...)
	if err != nil {
		b.t.Fatal(err)
	}
	what := "iupkg " + strings.Join(args, " ")
	if r.Exit != code {
		b.t.Fatalf("%s: exit %d, want %d\n%s%s", what, r.Exit, code, r.Stdout, r.Stderr)
	}
	for _, text := range says {
		if !strings.Contains(r.Stdout+r.Stderr, text) {
			b.t.Errorf("%s does not say %q:\n%s%s", what, text, r.Stdout, r.Stderr)
		}
	}
	b.t.Logf("%s\n%s%s", what, r.Stdout, r.Stderr)
	return r
}

func (b *bed) shell(script string) string {
	b.t.Helper()
	r, err := b.m.Shell(b.ctx, script)
	if err != nil || r.Exit != 0 {
		b.t.Fatalf("%s: exit %d, %v\n%s%s", script, r.Exit, err, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// state is what a failed command must not change: what is committed and
// trusted, and what of ours the kernel holds. The synced index is the
// registry's, and blobs are named by their content.
func (b *bed) state() string {
	b.t.Helper()
	return b.shell(`
		cd /var/lib/iupkg 2>/dev/null && find . -path ./index -prune -o -path ./blobs -prune -o -type f ! -name lock -exec sha256sum {} + | sort -k2
		find /sys/fs/bpf | sort
		grep ^iux_ /proc/modules || true
		bpftool -j link show; bpftool -j net show
		bpftool map show | grep -c . || true
		tc qdisc show`)
}

// refused runs iupkg, which must fail and leave the machine as it was.
func (b *bed) refused(code int, says []string, args ...string) {
	b.t.Helper()
	before := b.state()
	r := b.run(code, append(says, "iupkg: error: "), args...)
	if strings.Contains(r.Stderr, "goroutine ") {
		b.t.Error("a stack trace was shown")
	}
	if after := b.state(); after != before {
		b.t.Errorf("iupkg %s changed the machine\nbefore:\n%s\nafter:\n%s", strings.Join(args, " "), before, after)
	}
}

func (b *bed) checkLog() {
	b.t.Helper()
	log, err := b.m.Dmesg(b.ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, line := range log.Problems() {
		b.t.Errorf("kernel log: %s", line)
	}
}

// blobsWith finds the registry's blobs that start with these bytes.
func (b *bed) blobsWith(prefix string) []string {
	b.t.Helper()
	var found []string
	err := filepath.Walk(b.Blobs(), func(path string, info os.FileInfo, err error) error {
		if err != nil || info.Name() != "data" {
			return err
		}
		raw, err := os.ReadFile(path)
		if strings.HasPrefix(string(raw), prefix) {
			found = append(found, path)
		}
		return err
	})
	if err != nil || len(found) == 0 {
		b.t.Fatalf("no blob that starts with %q (%v)", prefix, err)
	}
	return found
}

// damage changes files for as long as f runs.
func (b *bed) damage(paths []string, change func([]byte) []byte, f func()) {
	b.t.Helper()
	if len(paths) == 0 {
		f()
		return
	}
	whole, err := os.ReadFile(paths[0])
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(paths[0], change([]byte(string(whole))), 0o644); err != nil {
		b.t.Fatal(err)
	}
	defer func() {
		if err := os.WriteFile(paths[0], whole, 0o644); err != nil {
			b.t.Error(err)
		}
	}()
	b.damage(paths[1:], change, f)
}

func flip(raw []byte) []byte {
	raw[len(raw)/2] ^= 0x10
	return raw
}

func cut(raw []byte) []byte { return raw[:len(raw)/2] }

const elf = "\x7fELF"

func TestBadInput(t *testing.T) {
	b := newBed(t, "6.12")
	b.publish("runtime-crate/samples/xdp_count", "xdp-count", nil)
	b.publish("runtime-crate/samples/xdp_count", "xdp-count-new", map[string]string{
		`version = "0.1.0"`: `version = "0.2.0"`,
		`release = ">=6.1"`: "release = \">=6.1\"\nconfig = [\"FUNCTION_ERROR_INJECTION=y\"]",
	})
	b.run(0, nil, "trust", "add", b.TrustFile(), "--names", "xdp-count")

	t.Run("no runtime", func(t *testing.T) {
		b.t = t
		b.refused(6, []string{"iu.ko", "iupkg: hint: ", "iupkg setup"}, "install", "xdp-count")
	})
	b.t = t
	b.run(0, nil, "setup")

	for _, c := range []struct {
		name string
		code int
		says []string
		args []string
	}{
		{"unknown package", 3, []string{"nosuch"}, []string{"install", "nosuch"}},
		{"option off", 3, []string{"FUNCTION_ERROR_INJECTION=y", "off"}, []string{"install", "xdp-count@0.2"}},
		{"parameter unknown", 2, []string{"colour"}, []string{"install", "xdp-count", "--set", "colour=red"}},
		{"parameter out of range", 2, []string{"drop_port", "65535"}, []string{"install", "xdp-count", "--set", "drop_port=70000"}},
		{"no such interface", 2, []string{"eth9"}, []string{"install", "xdp-count", "--set", "iface=eth9"}},
		{"registry down", 5, []string{"iupkg: hint: "}, []string{"--registry", "http://10.0.2.2:9/iupkg", "install", "xdp-count"}},
		{"not installed", 1, []string{"xdp-count"}, []string{"remove", "xdp-count"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			b.refused(c.code, c.says, c.args...)
		})
	}

	t.Run("object flipped in the registry", func(t *testing.T) {
		b.t = t
		b.damage(b.blobsWith(elf), flip, func() { b.refused(5, []string{"sha256:"}, "install", "xdp-count") })
	})
	t.Run("object truncated in the registry", func(t *testing.T) {
		b.t = t
		b.damage(b.blobsWith(elf), cut, func() { b.refused(5, []string{"sha256:"}, "install", "xdp-count") })
	})
	t.Run("not trusted", func(t *testing.T) {
		b.t = t
		b.run(0, nil, "trust", "remove", testbed.Key)
		b.refused(4, []string{"iupkg: hint: "}, "install", "xdp-count")
		b.run(0, nil, "trust", "add", b.TrustFile(), "--names", "somethingelse")
		b.refused(4, []string{"xdp-count"}, "install", "xdp-count")
		b.run(0, nil, "trust", "remove", testbed.Key)
		b.run(0, nil, "trust", "add", b.TrustFile(), "--names", "xdp-count")
	})
	t.Run("no BTF", func(t *testing.T) {
		b.t = t
		b.shell("mount -t tmpfs none /sys/kernel/btf")
		defer b.shell("umount /sys/kernel/btf")
		b.refused(3, []string{"shows no BTF"}, "install", "xdp-count")
	})

	b.t = t
	b.run(0, nil, "install", "xdp-count")
	t.Run("object flipped in the store", func(t *testing.T) {
		b.t = t
		digest := strings.Fields(b.shell(`grep -la $'^\x7fELF' /var/lib/iupkg/blobs/sha256/* | xargs -n1 basename`))[0]
		b.shell(`f=/var/lib/iupkg/blobs/sha256/` + digest + `; chmod u+w $f; printf X | dd of=$f bs=1 seek=4096 conv=notrunc status=none`)
		b.run(4, []string{digest}, "--offline", "verify", "xdp-count")
		b.run(0, []string{"mended", digest}, "verify", "xdp-count")
	})
	b.t = t
	b.run(0, nil, "remove", "xdp-count")
	b.checkLog()
}

// faults are the counts of a program, by cause, as `iupkg status --json` has them.
func (b *bed) faults(name string) (runs uint64, faults map[string]uint64) {
	b.t.Helper()
	var doc any
	if err := json.Unmarshal([]byte(b.run(0, nil, "status", name, "--json").Stdout), &doc); err != nil {
		b.t.Fatal(err)
	}
	faults = map[string]uint64{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for k, e := range v {
				n, isNumber := e.(float64)
				switch inner, isMap := e.(map[string]any); {
				case k == "runs" && isNumber:
					runs += uint64(n)
				case k == "faults" && isMap:
					for cause, n := range inner {
						faults[cause] += uint64(n.(float64))
					}
				default:
					walk(e)
				}
			}
		}
	}
	walk(doc)
	return runs, faults
}

// talk lets the machine connect to the registry n times, each of which must
// work and brings packets in at eth0.
func (b *bed) talk(n int) {
	b.t.Helper()
	_, port, _ := strings.Cut(strings.TrimPrefix(b.Registry(), "http://"), ":")
	port, _, _ = strings.Cut(port, "/")
	b.shell(fmt.Sprintf("for i in $(seq %d); do timeout 10 bash -c '</dev/tcp/10.0.2.2/%s'; done", n, port))
}

// lines wants the source line of an extension's faults from status and logs, and from logs -f
// for one that comes while it follows.
func (b *bed) lines(name, at string) {
	b.t.Helper()
	b.run(0, []string{at}, "status", name)
	before := strings.Count(b.run(0, []string{"at " + at}, "logs", name).Stdout, at)
	b.shell(b.IUPkg() + " logs -f " + name + " >/run/follow 2>&1 & echo $! >/run/follow.pid; sleep 6") // by then a line may be printed again
	b.talk(1)
	after := b.shell("sleep 1; kill -INT $(cat /run/follow.pid); sleep 1; cat /run/follow")
	if n := strings.Count(after, at); n <= before {
		b.t.Errorf("logs -f shows %s %d times, %d before there was another fault:\n%s", at, n, before, after)
	}
}

func TestFaultyExtensions(t *testing.T) {
	for _, kernel := range []string{"6.12", "6.1"} {
		t.Run(kernel, func(t *testing.T) {
			b := newBed(t, kernel)
			for _, name := range []string{"panic_first", "spin", "recurse"} {
				b.publish("runtime-crate/samples/"+name, name, nil)
			}
			b.run(0, nil, "setup")
			b.run(0, nil, "trust", "add", b.TrustFile())
			for name, cause := range map[string]string{"panic-first": "panic", "spin": "budget", "recurse": "stack"} {
				t.Run(name, func(t *testing.T) {
					b.t = t
					b.run(0, nil, "install", name)
					const talks = 5
					b.talk(talks)
					runs, faults := b.faults(name)
					if faults[cause] < 1 || runs < talks {
						t.Errorf("%d runs, faults %v; want one of cause %s at least", runs, faults, cause)
					}
					b.run(0, []string{cause, "src/lib.rs:"}, "status", name)
					if name == "panic-first" && kernel == "6.12" {
						b.lines(name, "src/lib.rs:18") // where it indexes
					}
					b.run(0, nil, "remove", name)
					b.talk(1)
					b.shell("! grep ^iux_ /proc/modules")
				})
			}
			b.t = t
			b.checkLog()
		})
	}
}

// checkKeyring looks at the runtime's keyring with keyctl: it has the publisher's certificate, and root
// cannot change it past iu.ko.
func (b *bed) checkKeyring() {
	b.t.Helper()
	said := b.shell(`
		ring=0x$(awk '$8 == "keyring" && $9 == ".iu:" { print $1 }' /proc/keys)
		keys=$(keyctl rlist "$ring")
		for k in $keys; do keyctl rdescribe "$k"; done
		openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=mallory -keyout /dev/null -outform DER -out /tmp/mallory.der 2>/dev/null
		[ -s /tmp/mallory.der ]
		keyctl padd asymmetric mallory "$ring" </tmp/mallory.der && echo CHANGED
		keyctl link @u "$ring" && echo CHANGED
		keyctl clear "$ring" && echo CHANGED
		keyctl setperm "$ring" 0x3f3f3f3f && echo CHANGED
		for k in $keys; do
			keyctl unlink "$k" "$ring" && echo CHANGED
			keyctl revoke "$k" && echo CHANGED
		done
		[ "$(keyctl rlist "$ring")" = "$keys" ] || echo CHANGED`)
	lines := strings.Split(strings.TrimSpace(said), "\n")
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "asymmetric;0;0;") {
		b.t.Errorf("the runtime's keyring:\n%s", said)
	}
}
