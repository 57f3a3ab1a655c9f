// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Profile is what a kernel offers, as far as it could be told. The zero value
// of an Answer counts as unknown.
type Profile struct {
	Schema  int    `json:"schema"`
	Release string `json:"release"`           // uname -r
	Version string `json:"version,omitempty"` // uname -v
	Arch    string `json:"arch"`              // in Go's terms

	// Config has the symbols that are set, without CONFIG_, as .config writes
	// their values (see ConfigLookup). Nil: it could not be read.
	Config map[string]string `json:"config,omitempty"`
	// ConfigSource is where Config was read: "/boot/config-6.12.1-amd64".
	ConfigSource string `json:"configSource,omitempty"`

	// BTF is the raw BTF of vmlinux; nil: there is none or it could not be
	// read. In JSON it is "btf": base64 of gzip.
	BTF []byte `json:"-"`
	// ModuleTypes is the raw BTF of the modules that are loaded, by name, each split
	// from that of vmlinux. In JSON it is "moduleTypes": base64 of gzip.
	ModuleTypes map[string][]byte `json:"-"`
	// Symbols are those that vmlinux exports to modules, sorted. Nil: they could not
	// be read.
	Symbols []string `json:"symbols,omitempty"`

	Modules   Answer          `json:"modules,omitempty"`   // modules may be loaded
	ModuleBTF Answer          `json:"moduleBTF,omitempty"` // modules carry BTF that the kernel takes
	ModuleSig Answer          `json:"moduleSig,omitempty"` // modules must be signed
	Lockdown  Answer          `json:"lockdown,omitempty"`  // integrity or more is in force
	Hooks     map[Hook]Answer `json:"hooks,omitempty"`     // the hook works; one that is not here is unknown
	// Runtime is the runtime of this machine; nil: none is loaded.
	Runtime *RuntimeFacts `json:"runtime,omitempty"`

	// Mitigations are what the kernel says of the weaknesses of this processor, by
	// the names of /sys/devices/system/cpu/vulnerabilities. They decide what calls
	// and returns cost, not what can be loaded.
	Mitigations map[string]string `json:"mitigations,omitempty"`
	// Extensions are those that the runtime has loaded.
	Extensions []LoadedExtension `json:"extensions,omitempty"`
}

// LoadedExtension is one extension in the kernel.
type LoadedExtension struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Object  string `json:"object"` // digest
}

// RuntimeFacts describe the loaded iu.ko.
type RuntimeFacts struct {
	Version string `json:"version,omitempty"`
	UAPI    int    `json:"uapi"` // IU_UAPI_VERSION
	// It takes objects of MinABI to ABI, which is its IU_ABI_VERSION. MinABI 0 is
	// the same as ABI.
	ABI    int `json:"abi"`
	MinABI int `json:"minABI,omitempty"`
}

func (r *RuntimeFacts) oldest() int {
	if r.MinABI > 0 {
		return r.MinABI
	}
	return r.ABI
}

func (r *RuntimeFacts) abis() string {
	if r.oldest() < r.ABI {
		return fmt.Sprintf("%d to %d", r.oldest(), r.ABI)
	}
	return fmt.Sprint(r.ABI)
}

// profileFile is the form of a Profile in JSON.
type profileFile struct {
	*Profile
	GzBTF         []byte            `json:"btf,omitempty"`
	GzModuleTypes map[string][]byte `json:"moduleTypes,omitempty"`
}

// EncodeProfile writes a profile in the canonical form of Manifest.Encode.
func EncodeProfile(p *Profile) ([]byte, error) {
	if err := p.validate().err(); err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	f := profileFile{Profile: p}
	var err error
	if f.GzBTF, err = compress(p.BTF); err != nil {
		return nil, err
	}
	for name, raw := range p.ModuleTypes {
		if f.GzModuleTypes == nil {
			f.GzModuleTypes = map[string][]byte{}
		}
		if f.GzModuleTypes[name], err = compress(raw); err != nil {
			return nil, err
		}
	}
	b, err := encodeJSON(f)
	if err == nil && len(b) > MaxProfile {
		err = fmt.Errorf("profile: has %d bytes, at most %d are allowed", len(b), MaxProfile)
	}
	return b, err
}

func compress(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, nil
	}
	var z bytes.Buffer
	w, err := gzip.NewWriterLevel(&z, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return z.Bytes(), nil
}

// CompressProfile is EncodeProfile, all of it compressed with gzip.
func CompressProfile(p *Profile) ([]byte, error) {
	b, err := EncodeProfile(p)
	if err != nil {
		return nil, err
	}
	return compress(b)
}

// ParseProfile reads a profile, which may be compressed with gzip. Errors are one
// or more SyntaxErrors, which name the file as the caller does.
func ParseProfile(b []byte, file string) (*Profile, error) {
	if bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		var err error
		if b, err = gunzip(b, MaxProfile); err != nil {
			return nil, &SyntaxError{File: file, Line: 1, Column: 1, Msg: err.Error()}
		}
	}
	// The embedded struct is spelled out for the strict walk.
	type plain Profile
	var f struct {
		plain
		GzBTF         []byte            `json:"btf,omitempty"`
		GzModuleTypes map[string][]byte `json:"moduleTypes,omitempty"`
	}
	at, err := strictJSON(b, &f, MaxProfile, file)
	if err != nil {
		return nil, err
	}
	p := Profile(f.plain)
	probs := p.validate()
	if len(f.GzBTF) > 0 {
		btf, err := gunzip(f.GzBTF, MaxBTF)
		probs.add("btf", err)
		p.BTF = btf
	}
	left := MaxBTF
	for _, name := range slices.Sorted(maps.Keys(f.GzModuleTypes)) {
		raw, err := gunzip(f.GzModuleTypes[name], left)
		probs.add("moduleTypes."+name, err)
		left -= len(raw)
		if p.ModuleTypes == nil {
			p.ModuleTypes = map[string][]byte{}
		}
		p.ModuleTypes[name] = raw
	}
	if err := probs.err(); err != nil {
		return nil, locate(err, file, at)
	}
	return &p, nil
}

func gunzip(z []byte, limit int) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(z))
	if err != nil {
		return nil, fmt.Errorf("is not gzip: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("is damaged: %w", err)
	}
	if len(b) > limit {
		return nil, fmt.Errorf("has more than %d bytes", limit)
	}
	return b, nil
}

func (p *Profile) validate() problems {
	var probs problems
	if p.Schema != Schema {
		probs.addf("schema", "is %d: this program reads profiles of schema %d", p.Schema, Schema)
		return probs
	}
	_, err := ParseRelease(p.Release, p.Version)
	probs.add("release", err)
	probs.add("version", checkText(p.Version, 256))
	if !archPattern.MatchString(p.Arch) {
		probs.addf("arch", "%.20q is not an architecture: amd64, arm64, …", p.Arch)
	}
	probs.add("configSource", checkText(p.ConfigSource, MaxText))
	if len(p.Config) > 1<<16 {
		probs.addf("config", "has %d symbols, at most %d are allowed", len(p.Config), 1<<16)
	} else {
		for _, sym := range slices.Sorted(maps.Keys(p.Config)) {
			if sym == "" || len(sym) > 128 || strings.IndexFunc(sym, func(r rune) bool { return r > 0x7f || !isIdentByte(byte(r)) }) >= 0 {
				probs.addf("config", "%.130q is not a symbol", sym)
				continue
			}
			probs.add("config."+sym, checkText(p.Config[sym], 4096))
		}
	}
	for _, a := range []struct {
		field string
		a     Answer
	}{{"modules", p.Modules}, {"moduleBTF", p.ModuleBTF}, {"moduleSig", p.ModuleSig}, {"lockdown", p.Lockdown}} {
		probs.add(a.field, a.a.check())
	}
	for _, h := range slices.Sorted(maps.Keys(p.Hooks)) {
		// A profile may come from a later program that knows more hooks.
		if err := CheckName(strings.ReplaceAll(string(h), "_", "-")); err != nil {
			probs.addf("hooks", "%.40q is not a hook", string(h))
			continue
		}
		probs.add("hooks."+string(h), p.Hooks[h].check())
	}
	if len(p.Symbols) > 1<<17 {
		probs.addf("symbols", "has %d entries, at most %d are allowed", len(p.Symbols), 1<<17)
	} else {
		for i, s := range p.Symbols {
			probs.add(fmt.Sprintf("symbols[%d]", i), checkSymbol(s))
			if i > 0 && p.Symbols[i-1] >= s {
				probs.addf(fmt.Sprintf("symbols[%d]", i), "%.60q does not come after %.60q", s, p.Symbols[i-1])
			}
		}
	}
	if len(p.Mitigations) > 128 {
		probs.addf("mitigations", "has %d entries, at most %d are allowed", len(p.Mitigations), 128)
	} else {
		for _, k := range slices.Sorted(maps.Keys(p.Mitigations)) {
			probs.add("mitigations", checkText(k, 64))
			probs.add("mitigations."+k, checkText(p.Mitigations[k], MaxText))
		}
	}
	for i, x := range p.Extensions {
		field := fmt.Sprintf("extensions[%d].", i)
		probs.add(field+"name", CheckName(x.Name))
		_, err := ParseVersion(x.Version)
		probs.add(field+"version", err)
		probs.add(field+"object", CheckDigest(x.Object))
	}
	if r := p.Runtime; r != nil {
		if r.MinABI < 0 || r.MinABI > r.ABI {
			probs.addf("runtime.minABI", "is %d and abi is %d", r.MinABI, r.ABI)
		}
		probs.add("runtime.version", checkText(r.Version, 128))
		if r.UAPI < 0 {
			probs.addf("runtime.uapi", "is negative")
		}
		if r.ABI < 0 {
			probs.addf("runtime.abi", "is negative")
		}
	}
	return probs
}

func (a Answer) check() error {
	switch a {
	case Yes, No, Unknown, "":
		return nil
	}
	return fmt.Errorf("%.20q is none of yes, no and unknown", string(a))
}
