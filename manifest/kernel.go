// SPDX-License-Identifier: Apache-2.0

package manifest

import "slices"

// Kernel is a kernel as requirements see it: one of which a Profile tells, or one that
// runs and is looked at no further than it is asked about. One goroutine may use it at a
// time.
type Kernel interface {
	Uname() Uname
	// LookupConfig is a ConfigLookup, and ConfigFile where that was read.
	LookupConfig(sym string) (val string, known bool)
	ConfigFile() string
	// LookupHook says whether a hook works. found says in plain words why not, in a
	// clause; empty: there is no more to say than that.
	LookupHook(h Hook) (a Answer, found string)
	// LookupSymbol says whether vmlinux exports a symbol to modules.
	LookupSymbol(name string) Answer
	// LookupRuntime is of the runtime that is loaded; nil: none is.
	LookupRuntime() *RuntimeFacts
	// ModulesSigned says whether modules must be signed.
	ModulesSigned() Answer
	Fingerprint() Fingerprint
	BTFLookup
}

// Uname is what uname says of a kernel.
type Uname struct {
	Release string // uname -r
	Version string // uname -v; empty: not known
	Arch    string // in Go's terms
}

// Kernel is the kernel of which the profile tells, which must not change any more. btf
// answers from its BTF; nil: every BTF requirement is unknown.
func (p *Profile) Kernel(btf BTFLookup) Kernel { return profileKernel{p, btf} }

type profileKernel struct {
	*Profile
	btf BTFLookup
}

func (k profileKernel) Uname() Uname { return Uname{k.Release, k.Version, k.Arch} }

func (k profileKernel) ConfigFile() string { return k.ConfigSource }

func (k profileKernel) LookupHook(h Hook) (Answer, string) {
	switch a := k.Hooks[h]; a {
	case No:
		return No, WhyNoHook(len(k.BTF) > 0 || k.offersAny())
	case Yes:
		return Yes, ""
	}
	return Unknown, ""
}

// WhyNoHook is what LookupHook finds of a hook that does not work: the usual reason, and
// one that the user can mend, is that the kernel shows no BTF.
func WhyNoHook(btf bool) string {
	if btf {
		return ""
	}
	return "this kernel shows no BTF (/sys/kernel/btf/vmlinux), without which no hook can be used"
}

func (k profileKernel) LookupRuntime() *RuntimeFacts { return k.Runtime }

func (k profileKernel) ModulesSigned() Answer { return k.ModuleSig }

func (k profileKernel) LookupBTF(req BTFReq) (Answer, string) {
	if k.btf == nil {
		return Unknown, "the BTF of this kernel could not be read"
	}
	return k.btf.LookupBTF(req)
}

// LookupConfig is a ConfigLookup.
func (p *Profile) LookupConfig(sym string) (val string, known bool) {
	if p.Config == nil {
		return "", false
	}
	if v := p.Config[sym]; v != "" {
		return v, true
	}
	return "n", true
}

// LookupSymbol says whether vmlinux exports a symbol to modules.
func (p *Profile) LookupSymbol(name string) Answer {
	if p.Symbols == nil {
		return Unknown
	}
	if _, ok := slices.BinarySearch(p.Symbols, name); ok {
		return Yes
	}
	return No
}

// offersAny reports whether any hook works.
func (p *Profile) offersAny() bool {
	for _, a := range p.Hooks {
		if a == Yes {
			return true
		}
	}
	return false
}
