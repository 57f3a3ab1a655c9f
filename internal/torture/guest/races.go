// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"github.com/iupkg/iupkg/internal/sideload"
	"github.com/iupkg/iupkg/internal/torture/wire"
	"github.com/iupkg/iupkg/kernel"
	"golang.org/x/sys/unix"
)

// A step is one of the life of an extension. Any of them may be refused, since the other
// is at work; what must not be is that the kernel takes harm.
type step struct {
	name string
	do   func(*arena) error
}

var steps = []step{
	{"load", (*arena).stepLoad},
	{"bind", (*arena).stepBind},
	{"enable", (*arena).stepEnable},
	{"replace", (*arena).stepReplace},
	{"disable", (*arena).stepDisable},
	{"unload", (*arena).stepUnload},
	{"rmmod", (*arena).stepRemoveModule},
	{"watch", (*arena).stepWatch},
	{"hotplug", (*arena).stepHotplug},
	{"kill", (*arena).stepKill},
}

// raceTime is how long each pair of steps runs.
const raceTime = 500 * time.Millisecond

// Two versions in modules of their own, by hand and not by kernel.Load: so that each
// step can be done at any time, by anybody.
type version struct {
	module            string
	object, signature []byte
	sections          atomic.Pointer[[]kernel.Section]
	id                atomic.Uint32 // in the runtime; 0: not loaded
}

// arena is what two steps meet on: one slot with a stub, two versions, one map.
type arena struct {
	dir      sideload.Folder
	versions [2]version
	loaded   *kernel.Loaded // the first version
	slot     uint32
	stub     *ebpf.Program
	counted  *ebpf.Map
	turn     atomic.Uint32
	done     atomic.Uint64 // steps that were not refused
	refused  atomic.Uint64
}

func (m *machine) raceCases(ctx context.Context, dir sideload.Folder, scale float64, only string, out func(wire.Case) error) error {
	var pairs [][2]step
	for i, a := range steps {
		for _, b := range steps[i:] {
			if wanted("race."+a.name+"+"+b.name+".xdp", only) {
				pairs = append(pairs, [2]step{a, b})
			}
		}
	}
	for _, p := range pairs {
		r := wire.Case{Property: "race", Context: p[0].name + "+" + p[1].name, Hook: "xdp"}
		if err := race(ctx, dir, p, max(50*time.Millisecond, time.Duration(float64(raceTime)*scale)), &r); err != nil {
			r.Wrong = err.Error()
		}
		if err := out(r); err != nil {
			return err
		}
	}
	return nil
}

// race does two steps again and again, at the same time, while the program runs.
func race(ctx context.Context, dir sideload.Folder, pair [2]step, long time.Duration, r *wire.Case) error {
	idle, err := objects()
	if err != nil {
		return err
	}
	a, err := newArena(ctx, dir)
	if err != nil {
		return err
	}
	var stop atomic.Bool
	var all sync.WaitGroup
	failed := make(chan error, 3)
	runs := uint64(0)
	all.Go(func() {
		for !stop.Load() {
			// Without a program the slot has the hook's verdict.
			if ret, _, err := a.stub.Benchmark(frame, 50, func() {}); err != nil || ret != xdpDrop && ret != xdpPass {
				failed <- fmt.Errorf("a run: verdict %d, %w", ret, err)
				return
			}
			runs += 50
		}
	})
	for _, s := range pair {
		all.Go(func() {
			for !stop.Load() {
				err := s.do(a)
				var no *kernel.RefusedError
				switch {
				case err == nil:
					a.done.Add(1)
				case errors.As(err, &no) || errors.As(err, new(unix.Errno)):
					a.refused.Add(1)
				default:
					failed <- fmt.Errorf("%s: %w", s.name, err)
					return
				}
			}
		})
	}
	time.Sleep(long)
	stop.Store(true)
	all.Wait()
	select {
	case err = <-failed:
	default:
	}
	r.Runs, r.Survived = runs, runs
	r.Steps = a.done.Load()
	if err = errors.Join(err, a.usable(), a.close(ctx)); err != nil {
		return err
	}
	// Some are refused always: nobody may bind to what runs already.
	if r.Steps+a.refused.Load() == 0 {
		return errors.New("nothing was done")
	}
	for range 100 {
		left, err := objects()
		if err != nil {
			return err
		}
		if left <= idle {
			return nil
		}
		r.Leaks = left - idle
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("%d leaks", r.Leaks)
}

const xdpPass = 2

// newArena loads both versions properly, under two names, and takes the first one's slot and stub.
func newArena(ctx context.Context, dir sideload.Folder) (a *arena, err error) {
	a = &arena{dir: dir}
	spec, err := dir.Spec("count-1")
	if err != nil {
		return nil, err
	}
	first, err := load(ctx, spec)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, first.unload(ctx))
		}
	}()
	a.loaded, a.slot, a.stub, a.counted = first.Loaded, first.Programs[0].Slot, first.programs["count"], first.maps["counted"]
	for i := range a.versions {
		v := &a.versions[i]
		spec, err := dir.Spec(fmt.Sprintf("count-%d", i+1))
		if err != nil {
			return nil, err
		}
		v.object, v.signature = spec.Object, spec.Signature
		object, err := kernel.ReadObject(spec.Object)
		if err != nil {
			return nil, err
		}
		v.module = kernel.ModuleName(spec.Manifest.Name, object.Digest)
		if i == 0 {
			v.id.Store(first.ID)
		} else if err := insert(spec, v.module); err != nil {
			return nil, err
		}
		sections, err := kernel.SectionAddrs(v.module, object)
		if err != nil {
			return nil, err
		}
		v.sections.Store(&sections)
	}
	return a, nil
}

// insert maps the wrapper of an object; nothing calls it yet.
func insert(spec kernel.LoadSpec, module string) error {
	ko, err := kernel.Wrap(spec.Object, spec.Runtime, module)
	if err != nil {
		return err
	}
	return unix.InitModule(ko, "")
}

// with opens the device, does something, and keeps what was made.
func with(do func(*kernel.Device) error) error {
	d, err := kernel.OpenDevice()
	if err != nil {
		return err
	}
	defer d.Close()
	if err := do(d); err != nil {
		return err
	}
	return d.Commit()
}

// next is each version in turn.
func (a *arena) next() *version { return &a.versions[a.turn.Add(1)%2] }

func (a *arena) load(d *kernel.Device, v *version) error {
	id, err := d.Load(v.module, v.object, v.signature, *v.sections.Load())
	if err != nil {
		return err
	}
	v.id.Store(id)
	return d.Bind(id, 0, a.counted.FD())
}

func (a *arena) stepLoad() error {
	v := a.next()
	return with(func(d *kernel.Device) error { return a.load(d, v) })
}

// stepBind binds again, another map's descriptor at times, and sets the parameter.
func (a *arena) stepBind() error {
	v := a.next()
	return with(func(d *kernel.Device) error {
		err := d.Bind(v.id.Load(), 0, a.counted.FD())
		return errors.Join(err, d.SetParam(v.id.Load(), 0, uint64(a.turn.Load()%2)))
	})
}

func (a *arena) attach(d *kernel.Device, v *version) error {
	return d.Attach([]kernel.Attachment{{Slot: a.slot, ID: v.id.Load()}})
}

func (a *arena) stepEnable() error {
	return with(func(d *kernel.Device) error { return a.attach(d, &a.versions[0]) })
}

// stepReplace puts each version in turn into the slot; every other time nobody commits it.
func (a *arena) stepReplace() error {
	v := a.next()
	d, err := kernel.OpenDevice()
	if err != nil {
		return err
	}
	defer d.Close()
	if err := a.attach(d, v); err != nil {
		return err
	}
	if rand.IntN(2) == 0 {
		return nil
	}
	return d.Commit()
}

func (a *arena) stepDisable() error {
	return with(func(d *kernel.Device) error { return d.Detach(a.slot) })
}

// stepUnload unloads a version and, so that there is something for the others, loads it again.
func (a *arena) stepUnload() error {
	v := a.next()
	if err := with(func(d *kernel.Device) error { return d.Unload(v.id.Load()) }); err != nil {
		return err
	}
	if err := a.anew(v); err != nil {
		return err
	}
	return with(func(d *kernel.Device) error { return a.load(d, v) })
}

// stepRemoveModule tries to pull the code away, which must be refused while the runtime knows it.
func (a *arena) stepRemoveModule() error { return a.anew(a.next()) }

// anew removes a version's module and inserts it again: what was loaded once has maps and
// parameters in its data, and is not the signed object any more.
func (a *arena) anew(v *version) error {
	if err := unix.DeleteModule(v.module, unix.O_NONBLOCK); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	number := 1
	if v == &a.versions[1] {
		number = 2
	}
	spec, err := a.dir.Spec(fmt.Sprintf("count-%d", number))
	if err != nil {
		return err
	}
	if err := insert(spec, v.module); err != nil {
		return err
	}
	object, err := kernel.ReadObject(spec.Object)
	if err != nil {
		return err
	}
	sections, err := kernel.SectionAddrs(v.module, object)
	if err != nil {
		return unix.ENOENT // it was removed again
	}
	// What another step has until then is a hint that is wrong, and refused.
	v.sections.Store(&sections)
	return nil
}

// stepWatch reads all counters, and has runs timed or not.
func (a *arena) stepWatch() error {
	v := a.next()
	_, err := kernel.List()
	return errors.Join(err, with(func(d *kernel.Device) error { return d.Timing(v.id.Load(), a.turn.Load()%3 == 0) }))
}

// stepHotplug takes the second CPU away and brings it back.
func (a *arena) stepHotplug() error {
	const file = "/sys/devices/system/cpu/cpu1/online"
	for _, to := range []string{"0", "1"} {
		if err := os.WriteFile(file, []byte(to), 0); err != nil {
			return err
		}
	}
	return nil
}

// stepKill starts a process that loads and unloads an extension of another name, and kills it.
func (a *arena) stepKill() error {
	cmd := exec.Command("/proc/self/exe", "-load", "packet", string(a.dir))
	if err := cmd.Start(); err != nil {
		return err
	}
	time.Sleep(time.Duration(rand.IntN(800)) * time.Millisecond)
	_ = cmd.Process.Kill()
	if err := cmd.Wait(); err != nil && !cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
		return fmt.Errorf("the process that loads: %w", err)
	}
	return nil
}

// loadForever is that process.
func loadForever(ctx context.Context, dir sideload.Folder, name string) error {
	spec, err := dir.Spec(name)
	if err != nil {
		return err
	}
	spec.Params["xdp_iface"], spec.Params["tc_iface"] = pairs["spare"][1], pairs["spare"][1]
	for {
		// What the other step does may be in the way: that is no failure here.
		if l, err := kernel.Load(ctx, spec); err == nil {
			_ = kernel.Unload(ctx, l)
		} else {
			_ = kernel.Unload(ctx, &kernel.Loaded{Name: spec.Manifest.Name})
		}
	}
}

// usable: whatever the steps left, the first version can be brought to run.
func (a *arena) usable() error {
	v := &a.versions[0]
	if err := with(func(d *kernel.Device) error {
		for x, err := range d.Extensions() {
			if err != nil {
				return err
			}
			if x.Module == v.module {
				v.id.Store(x.ID)
				return a.attach(d, v)
			}
		}
		if err := a.anew(v); err != nil {
			return err
		}
		if err := a.load(d, v); err != nil {
			return err
		}
		return a.attach(d, v)
	}); err != nil {
		return fmt.Errorf("afterwards: %w", err)
	}
	if ret, _, err := a.stub.Test(frame); err != nil || ret != xdpDrop {
		return fmt.Errorf("afterwards: verdict %d, %w", ret, err)
	}
	return nil
}

func (a *arena) close(ctx context.Context) error {
	a.stub.Close()
	a.counted.Close()
	// By its name, thus both versions.
	return errors.Join(kernel.Unload(ctx, a.loaded), kernel.Unload(ctx, &kernel.Loaded{Name: "torture-packet"}))
}
