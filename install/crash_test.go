// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package install

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/internal/crash"
	"github.com/iupkg/iupkg/signing"
)

// A process that is to be killed is this test's own binary with its task here.
const crashEnv = "IUPKG_CRASH_TASK"

func TestMain(m *testing.M) {
	if task := os.Getenv(crashEnv); task != "" {
		if err := runTask([]byte(task)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// crashTask is one transaction on a root, with a kernel in files.
type crashTask struct {
	Root, Kernel, Shelf string
	Boot                string
	GC                  bool
	Target              []Item
}

func (c *crashTask) env() (*Root, *Env, error) {
	bootID = func() string { return c.Boot }
	root := Open(c.Root)
	policy, err := signing.OpenPolicy(root.Sub("trust"))
	if err != nil {
		return nil, nil, err
	}
	return root, &Env{Source: dirShelf(c.Shelf), Policy: policy, Kernel: fileKernel{c.Kernel}, Release: "6.12.1"}, nil
}

func runTask(task []byte) error {
	var c crashTask
	if err := json.Unmarshal(task, &c); err != nil {
		return err
	}
	root, env, err := c.env()
	if err != nil {
		return err
	}
	lock, err := root.Lock()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if c.GC {
		_, err := lock.Collect(1, false)
		return err
	}
	if err := lock.Recover(context.Background(), env); err != nil {
		return err
	}
	cur, err := root.Current()
	if err != nil {
		return err
	}
	_, err = lock.Apply(context.Background(), NewPlan(cur, "crash", c.Target), env)
	return err
}

// dirShelf is a shelf in files.
type dirShelf string

func (s *shelf) save(dir string) error {
	for d, b := range s.blobs {
		if err := os.WriteFile(filepath.Join(dir, d), b, 0o644); err != nil {
			return err
		}
	}
	b, err := json.Marshal(s.pkgs)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "packages"), b, 0o644)
}

func (s dirShelf) Fetch(_ context.Context, _, digest string, into *Store) (*Fetched, error) {
	text, err := os.ReadFile(filepath.Join(string(s), "packages"))
	if err != nil {
		return nil, err
	}
	var pkgs map[string]*Fetched
	if err := json.Unmarshal(text, &pkgs); err != nil {
		return nil, err
	}
	f := pkgs[digest]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	for _, d := range f.Blobs {
		if into.Has(d) {
			continue
		}
		b, err := os.ReadFile(filepath.Join(string(s), d))
		if err != nil {
			return nil, err
		}
		if err := into.Put(d, bytes.NewReader(b)); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// A scene is a root and a kernel before a transaction, and what the kernel may
// have after it: what the old generation says, or the new one.
type scene struct {
	name     string
	t        *testing.T
	home     string // has root, kernel, shelf
	task     crashTask
	old, new string // states of the kernel
	size     int    // packages of the new generation
}

// scratch is where trees are copied to by the hundred: in memory if there is a
// folder that is.
func scratch(t *testing.T) string {
	if fi, err := os.Stat("/dev/shm"); err == nil && fi.IsDir() {
		if dir, err := os.MkdirTemp("/dev/shm", "iupkg-crash-"); err == nil {
			t.Cleanup(func() { os.RemoveAll(dir) })
			return dir
		}
	}
	return t.TempDir()
}

// newScene makes a root with the generations before, and says what the last one
// and the target leave in the kernel.
func newScene(t *testing.T, name string, before [][]Item, target []Item, gc bool, s *shelf) *scene {
	t.Helper()
	c := &scene{name: name, t: t, home: scratch(t), size: len(target)}
	c.task = crashTask{Root: filepath.Join(c.home, "root"), Kernel: filepath.Join(c.home, "kernel"), Shelf: filepath.Join(c.home, "shelf"),
		Boot: "one", Target: target, GC: gc}
	for _, d := range []string{"kernel", "shelf"} {
		if err := os.MkdirAll(filepath.Join(c.home, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.save(c.task.Shelf); err != nil {
		t.Fatal(err)
	}
	policy, err := signing.OpenPolicy(filepath.Join(c.task.Root, "trust"))
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
	for _, items := range before {
		one := c.task
		one.Target, one.GC = items, false
		c.run(&one)
	}
	c.old = c.kernel(c.task.Kernel)
	there := c.copyOf()
	c.run(&there)
	c.new = c.kernel(there.Kernel)
	return c
}

func (c *scene) run(task *crashTask) {
	c.t.Helper()
	b, err := json.Marshal(task)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := runTask(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *scene) kernel(dir string) string {
	c.t.Helper()
	s, err := fileKernel{dir}.state()
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// copyOf is the task on a copy of the scene.
func (c *scene) copyOf() crashTask {
	c.t.Helper()
	home := scratch(c.t)
	for _, d := range []string{"root", "kernel"} {
		if err := copyTree(filepath.Join(c.home, d), filepath.Join(home, d)); err != nil {
			c.t.Fatal(err)
		}
	}
	task := c.task
	task.Root, task.Kernel = filepath.Join(home, "root"), filepath.Join(home, "kernel")
	return task
}

func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case d.IsDir():
			return os.MkdirAll(at, 0o755)
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(target, at)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(at, b, 0o644)
	})
}

func (c *scene) command(task *crashTask) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		c.t.Fatal(err)
	}
	b, err := json.Marshal(task)
	if err != nil {
		c.t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), crashEnv+"="+string(b), "GOMAXPROCS=2")
	cmd.Stderr = os.Stderr
	return cmd
}

// check says what is wrong with a root and a kernel after a death: recovered, it
// must have the old generation or the new one, whole, with every blob of each
// generation that is left, and the next transaction must work. rebooted: the
// kernel has lost all, and what restores the generation comes first.
func (c *scene) check(task *crashTask, rebooted bool) error {
	kern := fileKernel{task.Kernel}
	if err := kern.reap(); err != nil {
		return err
	}
	root, env, err := task.env()
	if err != nil {
		return err
	}
	lock, err := root.Lock()
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	defer lock.Unlock()
	if rebooted {
		out, err := lock.Restore(context.Background(), env)
		if err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		for _, r := range out {
			if r.Err != nil {
				return fmt.Errorf("restore %s: %w", r.Package, r.Err)
			}
		}
	} else if err := lock.Recover(context.Background(), env); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	cur, err := root.Current()
	if err != nil {
		return err
	}
	state, err := kern.state()
	if err != nil {
		return err
	}
	want := c.old
	if cur.Did == "crash" && !c.task.GC && cur.Number == c.nextNumber() {
		want = c.new
	}
	if state != want {
		return fmt.Errorf("generation %d is in force, the kernel has\n%s\nwant\n%s", cur.Number, state, want)
	}
	all, err := root.History()
	if err != nil {
		return err
	}
	if cur.Number > 0 && !slices.ContainsFunc(all, func(g *Generation) bool { return g.Number == cur.Number }) {
		return fmt.Errorf("history lacks generation %d", cur.Number)
	}
	for _, g := range all {
		for _, p := range g.Packages {
			for _, d := range p.Blobs {
				if _, err := root.Store.Get(d); err != nil {
					return fmt.Errorf("generation %d: %w", g.Number, err)
				}
			}
		}
	}
	if task.GC {
		_, err := lock.Collect(1, false)
		return err
	}
	g, err := lock.Apply(context.Background(), NewPlan(cur, "again", task.Target), env)
	if err != nil {
		return fmt.Errorf("the next transaction: %w", err)
	}
	if len(g.Packages) != c.size {
		return fmt.Errorf("the next transaction left %d packages, want %d", len(g.Packages), c.size)
	}
	if state, err = kern.state(); err == nil && state != c.new {
		err = fmt.Errorf("after the next transaction the kernel has\n%s\nwant\n%s", state, c.new)
	}
	return err
}

// nextNumber is of the generation that the scene's transaction makes.
func (c *scene) nextNumber() int {
	n, err := Open(c.task.Root).nextNumber()
	if errors.Is(err, fs.ErrNotExist) {
		return 1
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

// scenes has each kind of transaction once.
func scenes(t *testing.T) []*scene {
	b := &shelf{keys: testKeys(), blobs: map[string][]byte{}, pkgs: map[string]*Fetched{}}
	one, two, other := b.add(t, "one", "1.0.0"), b.add(t, "one", "1.1.0"), b.add(t, "other", "2.0.0")
	third := b.add(t, "third", "1.0.0")
	set := other
	set.Params = map[string]string{"level": "3"}
	was := bootID
	t.Cleanup(func() { bootID = was })
	return []*scene{
		newScene(t, "first install", nil, []Item{one}, false, b),
		newScene(t, "install", [][]Item{{one, other}}, []Item{one, other, third}, false, b),
		newScene(t, "upgrade", [][]Item{{one, other}}, []Item{two, set}, false, b),
		newScene(t, "remove", [][]Item{{one, other}}, []Item{one}, false, b),
		newScene(t, "rollback", [][]Item{{one, other}, {two, third}}, []Item{one, other}, false, b),
		newScene(t, "gc", [][]Item{{one, other}, {two, third}, {two}, {two, set}}, []Item{two, set}, true, b),
	}
}

// TestKill kills a process at every system call that changes anything, or, with
// IUPKG_CRASH=all, at every system call there is, during each kind of
// transaction. Whatever call it was, the old or the new generation is there, whole,
// and the next transaction works.
func TestKill(t *testing.T) {
	all := os.Getenv("IUPKG_CRASH") == "all"
	points := 0
	for _, c := range scenes(t) {
		t.Run(c.name, func(t *testing.T) {
			c.t = t
			n := 0
			for ; ; n++ {
				task := c.copyOf()
				seen, last := 0, ""
				killed, err := crash.Trace(c.command(&task), func(k *crash.Call) bool {
					if k.Done || !all && !k.Changes() {
						return false
					}
					seen++
					last = fmt.Sprintf("system call %d (%d of its kind here)", k.Nr, seen)
					return seen > n
				})
				if err != nil {
					t.Fatal(err)
				}
				if err := c.check(&task, false); err != nil {
					t.Errorf("killed at %s: %v", last, err)
				}
				os.RemoveAll(filepath.Dir(task.Root))
				if !killed {
					break
				}
				if t.Failed() {
					return
				}
			}
			points += n
			t.Logf("%d points", n)
		})
	}
	t.Logf("killed at %d points", points)
	if !t.Failed() && points < 300 {
		t.Errorf("killed at %d points only", points)
	}
}

// TestPowerCut loses what was not synced, in several ways, after every change to
// a file, and boots.
func TestPowerCut(t *testing.T) {
	ways := 4
	if n, err := strconv.Atoi(os.Getenv("IUPKG_CRASH_WAYS")); err == nil {
		ways = n
	}
	cuts := 0
	for _, c := range scenes(t) {
		t.Run(c.name, func(t *testing.T) {
			c.t = t
			task := c.copyOf()
			disk, err := crash.NewDisk(task.Root)
			if err != nil {
				t.Fatal(err)
			}
			after := crashTask{Shelf: task.Shelf, Boot: "two", GC: task.GC, Target: task.Target}
			var failed error
			n := 0
			cut := func() {
				for loss := crash.Loss(0); int(loss) < ways && failed == nil; loss++ {
					home := scratch(t)
					after.Root, after.Kernel = filepath.Join(home, "root"), filepath.Join(home, "kernel")
					failed = errors.Join(os.Mkdir(after.Root, 0o755), os.Mkdir(after.Kernel, 0o755))
					if failed == nil {
						failed = disk.Cut(loss, after.Root)
					}
					if failed == nil {
						if err := c.check(&after, true); err != nil {
							failed = fmt.Errorf("after change %d, %v: %w", disk.Calls, loss, err)
						}
					}
					n++
					os.RemoveAll(home)
				}
			}
			killed, err := crash.Trace(c.command(&task), func(k *crash.Call) bool {
				changed, err := disk.See(k)
				if err != nil {
					failed = err
				} else if changed {
					cut()
				}
				return failed != nil
			})
			if failed != nil {
				t.Fatal(failed)
			}
			if killed || err != nil {
				t.Fatal(err)
			}
			cuts += n
			t.Logf("%d cuts after %d changes", n, disk.Calls)
		})
	}
	t.Logf("%d power cuts", cuts)
	if !t.Failed() && cuts < 500 {
		t.Errorf("%d power cuts only", cuts)
	}
}
