// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// insertModule hands a module to the kernel's loader. The name is for messages.
func insertModule(name string, ko []byte) error {
	log := openKernelLog()
	defer log.close()
	err := unix.InitModule(ko, "")
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EKEYREJECTED) || errors.Is(err, unix.ENOKEY):
		// Not our signature: the kernel's own for modules.
		return &RefusedError{"insert module " + name, "this kernel takes signed modules only", fmt.Errorf("%s", err)}
	}
	return refused("insert module "+name, log.about(name), err)
}

// removeModule removes a module; one that is not there is removed already. The
// last reference may be given back a moment after what held it has gone.
func removeModule(ctx context.Context, name string) error {
	var err error
	for wait := time.Millisecond; wait < 4*time.Second; wait *= 2 {
		err = unix.DeleteModule(name, unix.O_NONBLOCK)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
	return refused("remove module "+name, "", err)
}

// moduleLoaded says whether a module is there and has finished loading.
func moduleLoaded(name string) bool {
	state, err := os.ReadFile(filepath.Join("/sys/module", name, "initstate"))
	return err == nil && strings.TrimSpace(string(state)) == "live"
}

// SectionAddrs finds where the module loader put each allocated section of an
// object, by the files of /sys/module/MODULE/sections. Reading them needs
// CAP_SYSLOG.
func SectionAddrs(module string, o *Object) ([]Section, error) {
	var out []Section
	for i := 1; i < len(o.im.sections); i++ {
		s := &o.im.sections[i]
		if !s.alloc() || s.Size == 0 {
			continue
		}
		b, err := os.ReadFile(filepath.Join("/sys/module", module, "sections", s.name))
		if err != nil {
			return nil, fmt.Errorf("address of section %s of module %s: %w", s.name, module, err)
		}
		addr, err := strconv.ParseUint(strings.TrimSpace(string(b)), 0, 64)
		if err != nil {
			return nil, fmt.Errorf("address of section %s of module %s: %w", s.name, module, err)
		}
		if addr == 0 {
			return nil, fmt.Errorf("the kernel hides the addresses of module sections: kernel.kptr_restrict is 2, or CAP_SYSLOG is missing")
		}
		out = append(out, Section{i, addr})
	}
	return out, nil
}
