// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// mountSmall mounts a file system in memory of so many pages.
func mountSmall(t *testing.T, dir string, pages int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	err := unix.Mount("iupkg-test", dir, "tmpfs", 0, fmt.Sprintf("size=%d", pages*os.Getpagesize()))
	if errors.Is(err, unix.EPERM) {
		t.Skip("cannot mount here")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// On a disk that gets full at every page there is, one after the other, a
// transaction changes nothing but what it is told to, or all of it.
func TestDiskFull(t *testing.T) {
	for _, c := range scenes(t) {
		t.Run(c.name, func(t *testing.T) {
			c.t = t
			full := 0
			for pages := 1; ; pages++ {
				task := c.copyOf()
				small := filepath.Join(filepath.Dir(task.Root), "small")
				mountSmall(t, small, pages)
				err := copyTree(task.Root, filepath.Join(small, "root"))
				if err == nil {
					task.Root = filepath.Join(small, "root")
					err = c.onFullDisk(&task, &full)
				} else if errors.Is(err, unix.ENOSPC) {
					err = errTooSmall
				}
				if uerr := unix.Unmount(small, 0); uerr != nil {
					t.Fatal(uerr)
				}
				os.RemoveAll(filepath.Dir(small))
				if err == nil {
					break
				}
				if !errors.Is(err, errTooSmall) {
					t.Fatalf("%d pages: %v", pages, err)
				}
			}
			t.Logf("full %d times", full)
			if full == 0 && !c.task.GC && c.name != "remove" {
				t.Error("the disk was never full")
			}
		})
	}
}

var errTooSmall = errors.New("too small")

// onFullDisk does the task, which fails with errTooSmall if there was no room; then
// all must be as before. What could be undone without room must be: files may be
// left over, the kernel and the generation may not differ.
func (c *scene) onFullDisk(task *crashTask, full *int) error {
	root, env, err := task.env()
	if err != nil {
		return err
	}
	before, err := root.Current()
	if err != nil {
		return err
	}
	do := func() error {
		lock, err := root.Lock()
		if err != nil {
			return err
		}
		defer lock.Unlock()
		if task.GC {
			_, err := lock.Collect(1, false)
			return err
		}
		_, err = lock.Apply(context.Background(), NewPlan(before, "crash", task.Target), env)
		return err
	}
	err = do()
	if err == nil {
		if state := c.kernel(task.Kernel); state != c.new {
			return fmt.Errorf("the kernel has\n%s\nwant\n%s", state, c.new)
		}
		return nil
	}
	if !errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("want no space left: %w", err)
	}
	if strings.Contains(err.Error(), "undoing it failed") {
		return err
	}
	*full++
	now, err := root.Current()
	if err != nil {
		return err
	}
	if now.Number != before.Number {
		return fmt.Errorf("generation %d is in force, want %d", now.Number, before.Number)
	}
	if state := c.kernel(task.Kernel); state != c.old {
		return fmt.Errorf("the kernel has\n%s\nwant\n%s", state, c.old)
	}
	return errTooSmall
}

// A root that cannot be written can be read; writers say why not.
func TestReadOnly(t *testing.T) {
	c := scenes(t)[1]
	task := c.copyOf()
	dir := filepath.Join(t.TempDir(), "fixed")
	mountSmall(t, dir, 1000)
	defer unix.Unmount(dir, 0)
	if err := copyTree(task.Root, filepath.Join(dir, "root")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	task.Root = filepath.Join(dir, "root")
	root, env, err := task.env()
	if err != nil {
		t.Fatal(err)
	}
	cur, err := root.Current()
	if err != nil || cur.Number != 1 {
		t.Fatalf("%+v, %v", cur, err)
	}
	if all, err := root.History(); err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	for i := range cur.Packages {
		checks, err := root.Verify(context.Background(), env, &cur.Packages[i])
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range checks {
			if !k.OK && k.Part != PartModule { // there is no /sys/module of a kernel in files
				t.Errorf("%+v", k)
			}
		}
	}
	if _, err := root.Lock(); !errors.Is(err, unix.EROFS) {
		t.Fatalf("lock: %v", err)
	}
}

// Several writers at once: one does its work, the others are told so at once and
// change nothing; in the end each has had its turn, and no generation is lost.
func TestWritersAtOnce(t *testing.T) {
	c := scenes(t)[1]
	task := c.copyOf()
	targets := [][]Item{c.task.Target, c.task.Target[:1], c.task.Target[:2], nil}
	var wg sync.WaitGroup
	busy := make([]int, len(targets))
	for i, target := range targets {
		wg.Go(func() {
			mine := task
			mine.Target = target
			for range 500 {
				cmd := c.command(&mine)
				var said strings.Builder
				cmd.Stderr = &said
				err := cmd.Run()
				if err == nil {
					return
				}
				if !strings.Contains(said.String(), ErrBusy.Error()) {
					t.Errorf("writer %d: %v: %s", i, err, said.String())
					return
				}
				busy[i]++
			}
			t.Errorf("writer %d never had its turn", i)
		})
	}
	wg.Wait()
	root, _, err := task.env()
	if err != nil {
		t.Fatal(err)
	}
	all, err := root.History()
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range all {
		if g.Number != i+1 {
			t.Errorf("generation %d stands where %d should", g.Number, i+1)
		}
	}
	cur, err := root.Current()
	if err != nil || cur.Number != len(all) || len(all) < 2 {
		t.Fatalf("generation %d of %d, %v", cur.Number, len(all), err)
	}
	var want []string
	for _, p := range cur.Packages {
		want = append(want, "runs "+p.Name)
	}
	state := c.kernel(task.Kernel)
	for _, w := range want {
		if !strings.Contains(state, w) {
			t.Errorf("the kernel has\n%s\nand not %q", state, w)
		}
	}
	if n := strings.Count(state, "runs "); n != len(want) || strings.Contains(state, "left over") {
		t.Errorf("the kernel has\n%s\nwant %q", state, want)
	}
	t.Logf("turned away: %v", busy)
}
