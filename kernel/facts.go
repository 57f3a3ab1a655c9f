// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/iupkg/iupkg/manifest"
	"golang.org/x/sys/unix"
)

// Facts reads what the running kernel offers. It changes nothing on the host;
// to probe hooks it loads programs of two instructions and lets go of them.
// What cannot be told, for want of privilege or of a file, is unknown.
func Facts(ctx context.Context) (*manifest.Profile, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, err
	}
	p := &manifest.Profile{
		Schema: manifest.Schema, Release: goString(u.Release[:]), Version: goString(u.Version[:]), Arch: runtime.GOARCH,
	}
	p.Config, p.ConfigSource = readConfig(ctx, p.Release)
	if b, err := os.ReadFile("/sys/kernel/btf/vmlinux"); err == nil && len(b) <= manifest.MaxBTF {
		p.BTF = b
	}
	p.ModuleTypes = moduleTypes()
	p.Symbols = exportedSymbols()
	p.Mitigations = mitigations()
	p.Modules = modulesAllowed(p)
	p.ModuleBTF = moduleBTF(p)
	p.Lockdown = lockdown(p)
	p.ModuleSig = signatureEnforced(p)
	var runtime *Version
	if d, err := OpenDevice(); err == nil {
		if v, err := d.Version(); err == nil {
			runtime = v
			p.Runtime = &manifest.RuntimeFacts{UAPI: v.UAPI, ABI: v.ABI, Version: readLine("/sys/module/iu/version")}
		}
		for x, err := range d.Extensions() {
			if err != nil {
				break // what is not told is not said to be absent: Runtime says that one is there
			}
			p.Extensions = append(p.Extensions, manifest.LoadedExtension{Name: x.Name, Version: x.Version, Object: fmt.Sprintf("sha256:%x", x.Digest)})
		}
		d.Close()
	}
	p.Hooks = map[manifest.Hook]manifest.Answer{}
	for _, h := range manifest.Hooks() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p.Hooks[h] = probeHook(h, p, runtime)
	}
	return p, nil
}

// moduleTypes is the BTF of the modules that are loaded, but for ours.
func moduleTypes() map[string][]byte {
	entries, err := os.ReadDir("/sys/kernel/btf")
	if err != nil {
		return nil
	}
	var out map[string][]byte
	left := manifest.MaxBTF
	for _, e := range entries {
		name := e.Name()
		if name == "vmlinux" || name == "iu" || strings.HasPrefix(name, "iux_") {
			continue
		}
		b, err := os.ReadFile(filepath.Join("/sys/kernel/btf", name))
		if err != nil || len(b) > left {
			continue
		}
		if left -= len(b); out == nil {
			out = map[string][]byte{}
		}
		out[name] = b
	}
	return out
}

// exportedSymbols is the names in the table of vmlinux's exports, which the kernel
// lists among its own symbols; nil if it does not show them.
func exportedSymbols() []string {
	b, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		return nil
	}
	var out []string
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) != 3 { // a fourth is the module
			continue
		}
		if name, ok := bytes.CutPrefix(f[2], []byte("__ksymtab_")); ok {
			out = append(out, string(name))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

const vulnerabilities = "/sys/devices/system/cpu/vulnerabilities"

func mitigations() map[string]string {
	entries, err := os.ReadDir(vulnerabilities)
	if err != nil {
		return nil
	}
	out := map[string]string{}
	for _, e := range entries {
		if s := readLine(filepath.Join(vulnerabilities, e.Name())); s != "" {
			out[e.Name()] = s
		}
	}
	return out
}

func readLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}

// config answers from the configuration: is the symbol y or m?
func config(p *manifest.Profile, sym string) manifest.Answer {
	v, known := p.LookupConfig(sym)
	switch {
	case !known:
		return manifest.Unknown
	case v == "y" || v == "m":
		return manifest.Yes
	}
	return manifest.No
}

// modulesAllowed: may root load modules at all?
func modulesAllowed(p *manifest.Profile) manifest.Answer {
	switch readLine("/proc/sys/kernel/modules_disabled") {
	case "0":
		return manifest.Yes
	case "1":
		return manifest.No
	}
	// The file is there on every kernel with modules that has /proc/sys.
	if config(p, "MODULES") == manifest.No {
		return manifest.No
	}
	if _, err := os.Stat("/proc/modules"); errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat("/proc/version"); err == nil {
			return manifest.No
		}
	}
	return manifest.Unknown
}

// moduleBTF: does the kernel take the BTF of modules, which kfuncs need?
func moduleBTF(p *manifest.Profile) manifest.Answer {
	if p.BTF == nil {
		if _, err := os.Stat("/sys/kernel"); err == nil {
			return manifest.No
		}
		return manifest.Unknown
	}
	if a := config(p, "DEBUG_INFO_BTF_MODULES"); a != manifest.Unknown {
		return a
	}
	// A module that carries BTF shows beside vmlinux.
	if entries, err := os.ReadDir("/sys/kernel/btf"); err == nil && len(entries) > 1 {
		return manifest.Yes
	}
	return manifest.Unknown
}

// lockdown: is integrity or confidentiality in force?
func lockdown(p *manifest.Profile) manifest.Answer {
	modes := readLine("/sys/kernel/security/lockdown") // "[none] integrity confidentiality"
	if modes == "" {
		modes = detachedLockdown()
	}
	switch {
	case strings.Contains(modes, "[none]"):
		return manifest.No
	case strings.Contains(modes, "["):
		return manifest.Yes
	}
	// No securityfs, or no lockdown in the kernel.
	if config(p, "SECURITY_LOCKDOWN_LSM") == manifest.No {
		return manifest.No
	}
	return manifest.Unknown
}

// detachedLockdown reads the file where securityfs is not mounted, from a mount
// that nobody else sees and that is gone with its descriptor.
func detachedLockdown() string {
	fs, err := unix.Fsopen("securityfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return ""
	}
	defer unix.Close(fs)
	if unix.FsconfigCreate(fs) != nil {
		return ""
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return ""
	}
	defer unix.Close(mount)
	file, err := unix.Openat(mount, "lockdown", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(file)
	b := make([]byte, 256)
	n, err := unix.Read(file, b)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b[:n]), "\n")
	return line
}

// signatureEnforced: are modules without a signature refused?
func signatureEnforced(p *manifest.Profile) manifest.Answer {
	if p.Lockdown == manifest.Yes || config(p, "MODULE_SIG_FORCE") == manifest.Yes {
		return manifest.Yes
	}
	switch readLine("/sys/module/module/parameters/sig_enforce") {
	case "Y":
		return manifest.Yes
	case "N":
		return manifest.No
	}
	if config(p, "MODULE_SIG") == manifest.No {
		return manifest.No
	}
	return manifest.Unknown
}
