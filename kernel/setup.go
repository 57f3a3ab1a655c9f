// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

const runtimeModule = "iu"

// harvests lists the programs whose helpers the runtime needs, by hook.
var harvests = map[Hook]struct{ file, program string }{
	HookXDP:    {"harvest", "harvest_xdp"},
	HookTC:     {"harvest", "harvest_tc"},
	HookKprobe: {"harvest", "harvest_kprobe"}, // and all that depends on no hook
}

// RuntimePresent says whether iu.ko is loaded.
func RuntimePresent() bool { return moduleLoaded(runtimeModule) }

// InstallRuntime loads iu.ko from a file, makes /dev/iu if the machine has no
// devtmpfs that does, and tells the runtime the eBPF helpers it needs. It does
// only what has not been done, so that it may be called again at any time. A
// failure leaves the module out if this call put it in.
func InstallRuntime(ctx context.Context, path string) (err error) {
	if !RuntimePresent() {
		if err := finitModule(path); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, RemoveRuntime(context.WithoutCancel(ctx)))
			}
		}()
	}
	if err := ensureDevice(ctx); err != nil {
		return err
	}
	d, err := OpenDevice()
	if err != nil {
		return err
	}
	defer d.Close()
	return harvestAll(d)
}

// RemoveRuntime unloads iu.ko; refused while an extension is loaded.
func RemoveRuntime(ctx context.Context) error { return removeModule(ctx, runtimeModule) }

func finitModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	log := openKernelLog()
	defer log.close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return refused("insert module "+filepath.Base(path), log.about(runtimeModule), err)
	}
	return nil
}

// ensureDevice waits for /dev/iu, or makes it with the numbers in sysfs.
func ensureDevice(ctx context.Context) error {
	for range 20 {
		if _, err := os.Stat(devicePath); err == nil {
			return nil
		}
		if b, err := os.ReadFile("/sys/class/misc/iu/dev"); err == nil {
			major, minor, ok := strings.Cut(strings.TrimSpace(string(b)), ":")
			ma, err1 := strconv.ParseUint(major, 10, 32)
			mi, err2 := strconv.ParseUint(minor, 10, 32)
			if !ok || err1 != nil || err2 != nil {
				return fmt.Errorf("/sys/class/misc/iu/dev says %q", b)
			}
			err = unix.Mknod(devicePath, unix.S_IFCHR|0o600, int(unix.Mkdev(uint32(ma), uint32(mi))))
			if err == nil || errors.Is(err, unix.EEXIST) {
				return nil
			}
			return fmt.Errorf("make %s: %w", devicePath, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("the runtime is loaded but has no device: %w", ErrNoRuntime)
}

func harvestAll(d *Device) error {
	v, err := d.Version()
	if err != nil {
		return err
	}
	for hook, h := range harvests {
		if slices.Contains(v.Harvested, hook) {
			continue
		}
		if err := harvest(d, hook, h.file, h.program); err != nil {
			return err
		}
	}
	return nil
}

// harvest loads one program of an object, with the maps that it refers to.
func harvest(d *Device, hook Hook, file, program string) error {
	c, err := stubCollection(file)
	if err != nil {
		return err
	}
	for name := range c.Programs {
		if name != program {
			delete(c.Programs, name)
		}
	}
	loaded, err := ebpf.NewCollection(c)
	if err != nil {
		return refusedBPF("load "+program, err)
	}
	defer loaded.Close()
	return d.Harvest(hook, loaded.Programs[program].FD())
}
