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
	"sync"

	"github.com/iupkg/iupkg/manifest"
	"golang.org/x/sys/unix"
)

// Running is the kernel that runs here, a manifest.Kernel: it is read no further than it
// is asked, as all of it takes far longer than the load of an extension, and once. It
// changes nothing on the host, but that root keeps in /run what holds for this boot; to
// probe a hook it loads a program of few instructions and lets go of it. What cannot be told, for want of privilege or of a file, is unknown.
type Running struct {
	uname     manifest.Uname
	config    func() (kconfig, string)
	btf       func() []byte
	modules   func() map[string][]byte // BTF
	types     func() manifest.BTFLookup
	symbols   func() []string
	runtime   func() *loadedRuntime // nil: none is loaded
	moduleBTF func() manifest.Answer
	allowed   func() manifest.Answer // modules may be loaded
	lockdown  func() manifest.Answer
	hooks     map[manifest.Hook]manifest.Answer
}

type loadedRuntime struct {
	version    *Version
	facts      *manifest.RuntimeFacts
	extensions []manifest.LoadedExtension
}

// OpenRunning is the kernel that runs here. Tools that ctx stops are those that unpack a
// configuration.
func OpenRunning(ctx context.Context) (*Running, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, err
	}
	k := &Running{
		uname: manifest.Uname{Release: goString(u.Release[:]), Version: goString(u.Version[:]), Arch: runtime.GOARCH},
		hooks: map[manifest.Hook]manifest.Answer{},
	}
	k.config = sync.OnceValues(func() (kconfig, string) { return readConfig(ctx, k.uname.Release) })
	k.btf = sync.OnceValue(func() []byte {
		b, err := os.ReadFile(vmlinuxBTF)
		if err != nil || len(b) > manifest.MaxBTF {
			return nil
		}
		return b
	})
	k.modules = sync.OnceValue(moduleTypes)
	k.types = sync.OnceValue(func() manifest.BTFLookup { return lookupIn(k.btf(), k.modules) })
	k.symbols = sync.OnceValue(exportedSymbols)
	k.runtime = sync.OnceValue(findRuntime)
	k.moduleBTF = sync.OnceValue(func() manifest.Answer { return moduleBTF(k.LookupConfig) })
	k.allowed = sync.OnceValue(func() manifest.Answer { return modulesAllowed(k.LookupConfig) })
	k.lockdown = sync.OnceValue(func() manifest.Answer { return lockdown(k.LookupConfig) })
	return k, nil
}

// Uname implements manifest.Kernel, as do the methods after it.
func (k *Running) Uname() manifest.Uname { return k.uname }

// LookupConfig is a manifest.ConfigLookup.
func (k *Running) LookupConfig(sym string) (val string, known bool) {
	config, _ := k.config()
	return config.lookup(sym)
}

// ConfigFile is where the configuration was read.
func (k *Running) ConfigFile() string {
	_, file := k.config()
	return file
}

// LookupHook says whether a hook works.
func (k *Running) LookupHook(h manifest.Hook) (a manifest.Answer, found string) {
	a, known := k.hooks[h]
	if !known {
		a = k.probeHook(h)
		k.hooks[h] = a
	}
	if a == manifest.No {
		found = manifest.WhyNoHook(exists(vmlinuxBTF))
	}
	return a, found
}

// LookupSymbol says whether vmlinux exports a symbol to modules.
func (k *Running) LookupSymbol(name string) manifest.Answer {
	return (&manifest.Profile{Symbols: k.symbols()}).LookupSymbol(name)
}

// LookupRuntime is of the runtime that is loaded; nil: none is.
func (k *Running) LookupRuntime() *manifest.RuntimeFacts {
	if r := k.runtime(); r != nil {
		return r.facts
	}
	return nil
}

// ModulesSigned says whether modules must be signed.
func (k *Running) ModulesSigned() manifest.Answer {
	return signatureEnforced(k.lockdown(), k.LookupConfig)
}

// Fingerprint identifies the kernel in lock files.
func (k *Running) Fingerprint() manifest.Fingerprint {
	config, _ := k.config()
	p := manifest.Profile{Release: k.uname.Release, Version: k.uname.Version, Arch: k.uname.Arch, Config: config.all(), BTF: k.btf()}
	return p.Fingerprint()
}

// LookupBTF implements manifest.BTFLookup.
func (k *Running) LookupBTF(req manifest.BTFReq) (manifest.Answer, string) {
	return (&manifest.Profile{}).Kernel(k.types()).LookupBTF(req)
}

// Profile is all that can be told of the kernel.
func (k *Running) Profile(ctx context.Context) (*manifest.Profile, error) {
	p := &manifest.Profile{
		Schema: manifest.Schema, Release: k.uname.Release, Version: k.uname.Version, Arch: k.uname.Arch,
		BTF: k.btf(), ModuleTypes: k.modules(), Symbols: k.symbols(), Mitigations: mitigations(),
		Modules: k.allowed(), ModuleBTF: k.moduleBTF(), Lockdown: k.lockdown(), ModuleSig: k.ModulesSigned(),
		Runtime: k.LookupRuntime(), Hooks: map[manifest.Hook]manifest.Answer{},
	}
	config, file := k.config()
	p.Config, p.ConfigSource = config.all(), file
	if r := k.runtime(); r != nil {
		p.Extensions = r.extensions
	}
	for _, h := range manifest.Hooks() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p.Hooks[h], _ = k.LookupHook(h)
	}
	return p, nil
}

// Facts is the profile of the kernel that runs here.
func Facts(ctx context.Context) (*manifest.Profile, error) {
	k, err := OpenRunning(ctx)
	if err != nil {
		return nil, err
	}
	return k.Profile(ctx)
}

const vmlinuxBTF = "/sys/kernel/btf/vmlinux"

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// findRuntime asks the runtime, if it is loaded, what it is and what it has.
func findRuntime() *loadedRuntime {
	d, err := OpenDevice()
	if err != nil {
		return nil
	}
	defer d.Close()
	v, err := d.Version()
	if err != nil {
		return nil
	}
	r := &loadedRuntime{version: v, facts: &manifest.RuntimeFacts{UAPI: v.UAPI, ABI: v.ABI, Version: readLine("/sys/module/iu/version")}}
	for x, err := range d.Extensions() {
		if err != nil {
			break // what is not told is not said to be absent: that a runtime is there is
		}
		r.extensions = append(r.extensions, manifest.LoadedExtension{Name: x.Name, Version: x.Version, Object: fmt.Sprintf("sha256:%x", x.Digest)})
	}
	return r
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

// enabled answers from the configuration: is the symbol y or m?
func enabled(config manifest.ConfigLookup, sym string) manifest.Answer {
	v, known := config(sym)
	switch {
	case !known:
		return manifest.Unknown
	case v == "y" || v == "m":
		return manifest.Yes
	}
	return manifest.No
}

// modulesAllowed: may root load modules at all?
func modulesAllowed(config manifest.ConfigLookup) manifest.Answer {
	switch readLine("/proc/sys/kernel/modules_disabled") {
	case "0":
		return manifest.Yes
	case "1":
		return manifest.No
	}
	// The file is there on every kernel with modules that has /proc/sys.
	if enabled(config, "MODULES") == manifest.No {
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
func moduleBTF(config manifest.ConfigLookup) manifest.Answer {
	entries, err := os.ReadDir(filepath.Dir(vmlinuxBTF))
	switch {
	case err == nil && len(entries) > 1: // a module that carries BTF shows beside vmlinux
		return manifest.Yes
	case !exists(vmlinuxBTF) && exists("/sys/kernel"):
		return manifest.No
	case !exists(vmlinuxBTF):
		return manifest.Unknown
	}
	return enabled(config, "DEBUG_INFO_BTF_MODULES")
}

// lockdown: is integrity or confidentiality in force?
func lockdown(config manifest.ConfigLookup) manifest.Answer {
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
	if enabled(config, "SECURITY_LOCKDOWN_LSM") == manifest.No {
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
func signatureEnforced(lockdown manifest.Answer, config manifest.ConfigLookup) manifest.Answer {
	// Of a kernel that does not run the option alone tells.
	if lockdown == manifest.Yes || enabled(config, "MODULE_SIG_FORCE") == manifest.Yes {
		return manifest.Yes
	}
	switch readLine("/sys/module/module/parameters/sig_enforce") {
	case "Y":
		return manifest.Yes
	case "N":
		return manifest.No
	}
	if enabled(config, "MODULE_SIG") == manifest.No {
		return manifest.No
	}
	return manifest.Unknown
}
