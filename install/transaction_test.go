// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/signing"
)

// These tests are about the order of steps and their undoing: store, keys,
// signatures and policy are real, the kernel is recorder. That packages load into
// a kernel is for the tests that have one.

// recorder stands in for the kernel. It holds what is loaded, fails or dies at
// the chosen call, and otherwise does what it is told.
type recorder struct {
	loaded map[string]string // name to object digest and parameters
	calls  int
	failAt int // number of the call that fails; 0: none
	dieAt  int // number of the call during which the process dies
	after  bool
}

var (
	errRecorder = errors.New("the recorder fails as it was told")
	errDied     = errors.New("killed")
)

func (k *recorder) step(do func()) error {
	k.calls++
	if k.calls == k.failAt {
		return errRecorder
	}
	if k.calls == k.dieAt && !k.after {
		panic(errDied)
	}
	do()
	if k.calls == k.dieAt {
		panic(errDied)
	}
	return nil
}

func describe(spec *kernel.LoadSpec) string {
	return fmt.Sprintf("%s %v", Digest(spec.Object), spec.Params)
}

func (k *recorder) Load(_ context.Context, spec kernel.LoadSpec) (*kernel.Loaded, error) {
	if _, there := k.loaded[spec.Manifest.Name]; there {
		return nil, kernel.ErrLoaded
	}
	l := &kernel.Loaded{Name: spec.Manifest.Name, Version: spec.Manifest.Version, Digest: Digest(spec.Object)}
	if err := spec.Record(l); err != nil {
		return nil, err
	}
	return l, k.step(func() { k.loaded[spec.Manifest.Name] = describe(&spec) })
}

func (k *recorder) Replace(_ context.Context, old *kernel.Loaded, spec kernel.LoadSpec) (*kernel.Loaded, error) {
	if !strings.HasPrefix(k.loaded[old.Name], old.Digest) {
		return nil, kernel.ErrNotLoaded
	}
	l := &kernel.Loaded{Name: spec.Manifest.Name, Version: spec.Manifest.Version, Digest: Digest(spec.Object)}
	if err := spec.Record(l); err != nil {
		return nil, err
	}
	return l, k.step(func() { k.loaded[old.Name] = describe(&spec) })
}

func (k *recorder) Intact(l *kernel.Loaded) error {
	if !strings.HasPrefix(k.loaded[l.Name], l.Digest+" ") {
		return &kernel.Broken{What: "another runs"}
	}
	return nil
}

func (k *recorder) Settle(_ context.Context, l *kernel.Loaded) error { return k.Intact(l) }

func (k *recorder) Unload(_ context.Context, l *kernel.Loaded) error {
	return k.step(func() { delete(k.loaded, l.Name) })
}

func (k *recorder) Status() ([]kernel.Status, error) {
	var out []kernel.Status
	for name, what := range k.loaded {
		s := kernel.Status{Extension: kernel.Extension{Name: name}}
		d, _, _ := strings.Cut(what, " ")
		raw, err := hex.DecodeString(strings.TrimPrefix(d, "sha256:"))
		if err != nil {
			return nil, err
		}
		s.Digest = [sha256.Size]byte(raw)
		out = append(out, s)
	}
	return out, nil
}

// shelf is a Source with packages that were signed in this process.
type shelf struct {
	keys  *signing.Keys
	blobs map[string][]byte
	pkgs  map[string]*Fetched // by digest
	err   error
}

func (s *shelf) put(b []byte) string {
	d := Digest(b)
	s.blobs[d] = b
	return d
}

// add makes and signs a package and returns it as a target.
func (s *shelf) add(t *testing.T, name, version string) Item {
	t.Helper()
	object := []byte("object of " + name + " " + version)
	m := manifest.Manifest{
		Schema: manifest.Schema, Name: name, Version: version, License: "Apache-2.0", Arch: "amd64",
		Object:   manifest.Object{Digest: s.put(object), Size: int64(len(object))},
		Requires: manifest.Requirements{Hooks: []manifest.Hook{manifest.HookXDP}, ABI: 1},
		Params:   []manifest.Param{{Name: "level", Type: manifest.ParamU64, Default: "1", Min: "1", Max: "9"}},
		Programs: []manifest.Program{{Name: "rx", Hook: manifest.HookXDP, OnFault: "pass"}},
		Toolchain: manifest.Toolchain{
			Rustc: "1", LLVM: "1", IU: "1", Pass: Digest(nil),
		},
	}
	text, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	sig, err := s.keys.SignObject(object)
	if err != nil {
		t.Fatal(err)
	}
	top := s.put([]byte("OCI manifest of " + name + " " + version))
	bundle, err := s.keys.SignStatement(&signing.Statement{Digest: top, Predicate: signing.Predicate{
		Name: name, Version: version, Object: m.Object.Digest, Hooks: []string{"xdp"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	f := &Fetched{Manifest: s.put(text), Object: m.Object.Digest, KernelSig: s.put(sig), Bundles: []string{s.put(bundle)}}
	f.Blobs = []string{top, f.Manifest, f.Object, f.KernelSig, f.Bundles[0]}
	s.pkgs[top] = f
	return Item{Name: name, Version: version, Digest: top}
}

func (s *shelf) Fetch(_ context.Context, _, digest string, into *Store) (*Fetched, error) {
	if s.err != nil {
		return nil, s.err
	}
	f := s.pkgs[digest]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	for _, d := range f.Blobs {
		if into.Has(d) {
			continue
		}
		if err := into.Put(d, bytes.NewReader(s.blobs[d])); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// testKeys are made when first asked for: not in the processes that crash tests start.
var testKeys = sync.OnceValue(func() *signing.Keys {
	k, err := signing.NewKeys("tester")
	if err != nil {
		panic(err)
	}
	return k
})

type bench struct {
	*testing.T
	root  *Root
	shelf *shelf
	rec   *recorder
	env   *Env
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t, root: Open(t.TempDir()), rec: &recorder{loaded: map[string]string{}}}
	b.shelf = &shelf{keys: testKeys(), blobs: map[string][]byte{}, pkgs: map[string]*Fetched{}}
	policy, err := signing.OpenPolicy(b.root.Sub("trust"))
	if err != nil {
		t.Fatal(err)
	}
	id, err := testKeys().Identity("*")
	if err != nil {
		t.Fatal(err)
	}
	if err := policy.Add(id); err != nil {
		t.Fatal(err)
	}
	b.env = &Env{Source: b.shelf, Policy: policy, Kernel: b.rec, Release: "6.12.1"}
	return b
}

func (b *bench) apply(target ...Item) (*Generation, error) {
	b.Helper()
	lock, err := b.root.Lock()
	if err != nil {
		b.Fatal(err)
	}
	defer lock.Unlock()
	if err := lock.Recover(context.Background(), b.env); err != nil {
		return nil, err
	}
	cur, err := b.root.Current()
	if err != nil {
		b.Fatal(err)
	}
	return lock.Apply(context.Background(), NewPlan(cur, "test", target), b.env)
}

func (b *bench) must(target ...Item) *Generation {
	b.Helper()
	g, err := b.apply(target...)
	if err != nil {
		b.Fatal(err)
	}
	return g
}

// state is all there is: files and kernel. The lock's content is nobody's state.
func (b *bench) state() string {
	b.Helper()
	var s strings.Builder
	err := filepath.WalkDir(b.root.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Base(path) == "lock" {
			return err
		}
		text := ""
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			text, err = os.Readlink(path)
		case !d.IsDir():
			var data []byte
			data, err = os.ReadFile(path)
			text = Digest(data)
		}
		fmt.Fprintln(&s, strings.TrimPrefix(path, b.root.dir), text)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	fmt.Fprintln(&s, b.rec.loaded)
	return s.String()
}

func (b *bench) same(before, what string) {
	b.Helper()
	if now := b.state(); now != before {
		b.Fatalf("%s: not as before; was\n%s\nis\n%s", what, before, now)
	}
}

func TestTransaction(t *testing.T) {
	b := newBench(t)
	one, two, other := b.shelf.add(t, "one", "1.0.0"), b.shelf.add(t, "one", "1.1.0"), b.shelf.add(t, "other", "2.0.0")
	g := b.must(one)
	if g.Number != 1 || g.Find("one").Signer.Publisher != "tester" || len(b.rec.loaded) != 1 {
		t.Fatalf("%+v, %v", g, b.rec.loaded)
	}
	// The same again is nothing.
	calls := b.rec.calls
	if g = b.must(one); g.Number != 1 || b.rec.calls != calls {
		t.Fatalf("generation %d, %d calls", g.Number, b.rec.calls-calls)
	}
	// Another version is put in its place in one call.
	if b.must(two, other); b.rec.calls != calls+2 || !strings.HasPrefix(b.rec.loaded["one"], b.shelf.pkgs[two.Digest].Object) {
		t.Fatalf("%d calls, %v", b.rec.calls-calls, b.rec.loaded)
	}
	// Other parameters mean loading anew.
	two.Params = map[string]string{"level": "7"}
	if b.must(two, other); !strings.HasSuffix(b.rec.loaded["one"], "map[level:7]") {
		t.Fatalf("%v", b.rec.loaded)
	}
	// What was forgotten by the kernel, as after a reboot, can be removed and replaced.
	clear(b.rec.loaded)
	one.Params = nil
	b.must(one)
	if len(b.rec.loaded) != 1 || !strings.HasPrefix(b.rec.loaded["one"], b.shelf.pkgs[one.Digest].Object) {
		t.Fatalf("%v", b.rec.loaded)
	}
	g = b.must()
	if h, err := b.root.History(); err != nil || len(h) != 5 || g.Number != 5 || len(g.Packages) != 0 || len(b.rec.loaded) != 0 {
		t.Fatalf("%v %v, %+v, %v", h, err, g, b.rec.loaded)
	}
}

// However the kernel's n-th answer is a no, everything is as it was.
func TestTransactionUndone(t *testing.T) {
	b := newBench(t)
	one, two, other, third := b.shelf.add(t, "one", "1.0.0"), b.shelf.add(t, "one", "1.1.0"), b.shelf.add(t, "other", "2.0.0"), b.shelf.add(t, "third", "1.0.0")
	gone := b.shelf.add(t, "gone", "1.0.0")
	b.must(one, other, gone)
	changed := other
	changed.Params = map[string]string{"level": "3"}
	before := b.state()
	for n := 1; ; n++ {
		b.rec.calls, b.rec.failAt = 0, n
		_, err := b.apply(two, changed, third)
		if err == nil {
			if n != 6 { // unload gone, replace one, unload and load other, load third
				t.Fatalf("done after %d calls", n-1)
			}
			return
		}
		if !errors.Is(err, errRecorder) {
			t.Fatal(err)
		}
		b.same(before, fmt.Sprintf("call %d fails", n))
	}
}

// Killed during any call to the kernel, before or after it took effect: the next
// writer finds the old generation and makes the kernel fit it.
func TestTransactionKilled(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n := 1; n <= 5; n++ {
			t.Run(fmt.Sprintf("call %d, after it %v", n, after), func(t *testing.T) {
				b := newBench(t)
				one, two, other, third := b.shelf.add(t, "one", "1.0.0"), b.shelf.add(t, "one", "1.1.0"), b.shelf.add(t, "other", "2.0.0"), b.shelf.add(t, "third", "1.0.0")
				gone := b.shelf.add(t, "gone", "1.0.0")
				b.must(one, other, gone)
				loaded := fmt.Sprint(b.rec.loaded)
				changed := other
				changed.Params = map[string]string{"level": "3"}
				b.rec.calls, b.rec.dieAt, b.rec.after = 0, n, after
				func() {
					defer func() {
						if r := recover(); r != errDied {
							t.Fatalf("did not die: %v", r)
						}
					}()
					b.apply(two, changed, third)
				}()
				b.rec.dieAt = 0
				if p, err := b.root.Pending(); !p || err != nil {
					t.Fatalf("pending: %v, %v", p, err)
				}
				lock, err := b.root.Lock()
				if err != nil {
					t.Fatal(err)
				}
				if err := lock.Recover(context.Background(), b.env); err != nil {
					t.Fatal(err)
				}
				lock.Unlock()
				if now := fmt.Sprint(b.rec.loaded); now != loaded {
					t.Errorf("loaded: %s, want %s", now, loaded)
				}
				if p, err := b.root.Pending(); p || err != nil {
					t.Errorf("pending: %v, %v", p, err)
				}
				if g, err := b.root.Current(); err != nil || g.Number != 1 {
					t.Errorf("current: %+v, %v", g, err)
				}
				b.must(two, changed, third)
			})
		}
	}
}

// A journal whose generation was committed says nothing.
func TestRecoverCommitted(t *testing.T) {
	b := newBench(t)
	one := b.shelf.add(t, "one", "1.0.0")
	b.must(one)
	before := b.state()
	if err := b.root.writeJournal(&journal{Schema: schema, Next: 1, Loads: []string{"one"}}); err != nil {
		t.Fatal(err)
	}
	lock, err := b.root.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	if err := lock.Recover(context.Background(), b.env); err != nil {
		t.Fatal(err)
	}
	b.same(before, "recovered")
}

// What does not hold is refused before the kernel hears of it, and leaves nothing.
func TestTransactionRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*bench, *Item)
		want func(error) bool
	}{
		{"registry is down", func(b *bench, _ *Item) { b.shelf.err = errRecorder }, is(errRecorder)},
		{"flipped on the way", func(b *bench, i *Item) {
			d := b.shelf.pkgs[i.Digest].Object
			b.shelf.blobs[d] = []byte("object of one 1.0.1")
		}, as[*CorruptBlob]},
		{"no signature", func(b *bench, i *Item) { b.shelf.pkgs[i.Digest].Bundles = nil }, as[*signing.Untrusted]},
		{"no kernel signature", func(b *bench, i *Item) { b.shelf.pkgs[i.Digest].KernelSig = "" }, as[*Mismatch]},
		{"kernel signature of another", func(b *bench, i *Item) {
			f := b.shelf.pkgs[i.Digest]
			f.KernelSig = b.shelf.pkgs[b.shelf.add(b.T, "two", "1.0.0").Digest].KernelSig
			f.Blobs = append(f.Blobs, f.KernelSig)
		}, as[*signing.SignatureError]},
		{"object of another", func(b *bench, i *Item) {
			f := b.shelf.pkgs[i.Digest]
			f.Object = b.shelf.pkgs[b.shelf.add(b.T, "two", "1.0.0").Digest].Object
			f.Blobs = append(f.Blobs, f.Object)
		}, as[*Mismatch]},
		{"manifest of another", func(b *bench, i *Item) {
			f, o := b.shelf.pkgs[i.Digest], b.shelf.pkgs[b.shelf.add(b.T, "one", "1.0.1").Digest]
			f.Manifest, f.Object, f.KernelSig = o.Manifest, o.Object, o.KernelSig
			f.Blobs = append(f.Blobs, o.Manifest, o.Object, o.KernelSig)
		}, as[*Mismatch]},
		{"signed as another version", func(b *bench, i *Item) { i.Version = "1.0.1" }, as[*signing.Untrusted]},
		{"signed as another name", func(b *bench, i *Item) { i.Name = "two" }, as[*signing.Untrusted]},
		{"publisher not trusted", func(b *bench, _ *Item) {
			if err := b.env.Policy.(*signing.Policy).Remove("tester"); err != nil {
				b.Fatal(err)
			}
		}, as[*signing.Untrusted]},
		{"parameter out of range", func(b *bench, i *Item) { i.Params = map[string]string{"level": "10"} }, as[*BadParams]},
		{"no such parameter", func(b *bench, i *Item) { i.Params = map[string]string{"x": "10"} }, as[*BadParams]},
		{"kernel does not fit", func(b *bench, _ *Item) {
			b.env.Check = func(manifest.Requirements) []manifest.Finding {
				return []manifest.Finding{{Requirement: "X=y", Answer: manifest.No, Found: "this kernel has it off"}}
			}
		}, as[*Unfit]},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			item := b.shelf.add(t, "one", "1.0.0")
			if err := b.root.create(); err != nil {
				t.Fatal(err)
			}
			c.do(b, &item)
			before := b.state()
			if _, err := b.apply(item); err == nil || !c.want(err) {
				t.Fatalf("error is %v", err)
			}
			b.same(before, "refused")
			if b.rec.calls != 0 {
				t.Error("the kernel was asked")
			}
		})
	}
}

func is(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }

func as[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

// A byte flipped in the store is found when the package is wanted, set aside,
// and fetched again.
func TestTransactionRefetches(t *testing.T) {
	b := newBench(t)
	item := b.shelf.add(t, "one", "1.0.0")
	b.must(item)
	b.must()
	path := filepath.Join(b.root.dir, "blobs", "sha256", strings.TrimPrefix(b.shelf.pkgs[item.Digest].Object, "sha256:"))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[0] ^= 1
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	var notices []string
	b.env.Report = func(e Event) {
		if e.Kind == EventNotice {
			notices = append(notices, e.Text)
		}
	}
	b.must(item)
	if len(notices) != 1 || !strings.Contains(notices[0], "corrupt") || !strings.Contains(notices[0], "fetched again") {
		t.Fatalf("notices: %q", notices)
	}
	if q, err := os.ReadDir(b.root.Sub("quarantine")); err != nil || len(q) != 1 {
		t.Fatalf("quarantine: %v, %v", q, err)
	}
}

func TestNewPlan(t *testing.T) {
	base := &Generation{Number: 4, Packages: []Package{{Name: "lib", Digest: "a"}, {Name: "app", Digest: "b"}, {Name: "same", Digest: "c"}}}
	p := NewPlan(base, "x", []Item{{Name: "new", Digest: "d"}, {Name: "same", Digest: "c"}})
	var got []string
	for _, c := range p.Changes {
		got = append(got, string(c.Op)+" "+c.Name())
	}
	if want := []string{"remove app", "remove lib", "install new", "keep same"}; !slices.Equal(got, want) || p.Base != 4 {
		t.Fatalf("%v", got)
	}
	if p.Empty() || !NewPlan(base, "x", base.Items()).Empty() {
		t.Fatal("empty is not what it says")
	}
}
