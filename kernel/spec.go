// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/iupkg/iupkg/manifest"
)

// LoadSpec says what to load. It is a value: nothing happens until Load.
type LoadSpec struct {
	Manifest  *manifest.Manifest
	Object    []byte            // the ELF object
	Signature []byte            // PKCS#7 over it, DER
	Runtime   []byte            // the iu.ko that was built for this kernel
	Params    map[string]string // what the user set, policies (manifest.Policy) among it
	PinDir    string            // empty: DefaultPinDir
	// Wrappers are modules made ahead and signed, for whatever kernels. The one that is,
	// without its signature, the module that would be made here is taken in its place.
	Wrappers [][]byte
	// Notice is told, in one line, what the user should know but is no failure.
	// May be nil.
	Notice func(string)
	// Record is told what is about to be committed, so that who finds this process
	// killed knows what it was about to do; if it fails, all is undone. May be nil.
	Record func(*Loaded) error
}

// Loaded is a loaded extension: all that unloading it takes. It goes through
// JSON unchanged.
type Loaded struct {
	Name     string            `json:"name"`
	Version  string            `json:"version"`
	Digest   string            `json:"digest"` // of the object, "sha256:" and hex
	ID       uint32            `json:"id"`     // in the runtime, until reboot
	Module   string            `json:"module"`
	PinDir   string            `json:"pinDir"` // the extension's own folder
	Params   map[string]string `json:"params,omitempty"`
	Programs []LoadedProgram   `json:"programs"`
	Maps     []Map             `json:"maps,omitempty"`
	Notices  []string          `json:"notices,omitempty"`
}

// LoadedProgram is a program of a loaded extension.
type LoadedProgram struct {
	Name   string            `json:"name"`
	Hook   manifest.Hook     `json:"hook"`
	Slot   uint32            `json:"slot"`
	StubID uint32            `json:"stubId"` // BPF program ID
	Pin    string            `json:"pin"`    // of the stub
	Target map[string]string `json:"target,omitempty"`
	Link   *Link             `json:"link,omitempty"` // nil: not attached anywhere
}

// plan is a LoadSpec that has been checked: all that is left is to do it.
type plan struct {
	LoadSpec
	object   *Object
	digest   string
	module   string
	wrapper  []byte
	policies map[string]manifest.Policy // by program
	texts    map[string]string          // values of all parameters
	values   []uint64                   // those of the object's table
	targets  []map[string]string        // per program; nil: attach nowhere
	pins     pinDir
}

// Check works out all of a load that can be worked out without the host: that
// object and manifest say the same, parameters, attachments and the wrapper.
func (s *LoadSpec) Check() error {
	_, err := s.plan()
	return err
}

func (s *LoadSpec) plan() (*plan, error) {
	if s.Manifest == nil {
		return nil, errors.New("load: no manifest")
	}
	p := &plan{LoadSpec: *s, pins: pinsOf(s.PinDir, s.Manifest.Name)}
	if err := manifest.CheckName(s.Manifest.Name); err != nil {
		return nil, err
	}
	var err error
	if p.object, err = ReadObject(s.Object); err != nil {
		return nil, err
	}
	p.digest = "sha256:" + hex.EncodeToString(p.object.Digest[:])
	if err := p.sameAsManifest(); err != nil {
		return nil, fmt.Errorf("%s: manifest and object differ: %w", s.Manifest.Name, err)
	}
	if p.texts, p.values, err = resolveParams(s.Manifest, p.object, s.Params); err != nil {
		return nil, err
	}
	if p.policies, err = s.Manifest.Policies(s.Params); err != nil {
		return nil, &ParamError{err}
	}
	if err := p.sizeMaps(); err != nil {
		return nil, err
	}
	for i := range s.Manifest.Programs {
		target, err := s.Manifest.Programs[i].Target(p.texts)
		if err != nil {
			return nil, &ParamError{err}
		}
		p.targets = append(p.targets, target)
	}
	p.module = ModuleName(p.object.Name, p.object.Digest)
	if p.wrapper, err = Wrap(s.Object, s.Runtime, p.module); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Manifest.Name, err)
	}
	for _, w := range s.Wrappers {
		if isSigned(w, p.wrapper) {
			p.wrapper = w
			break
		}
	}
	return p, nil
}

// isSigned says whether signed is the module with a signature at its end, which is the
// kernel's to check (include/linux/module_signature.h).
func isSigned(signed, module []byte) bool {
	return len(signed) > len(module) && bytes.HasPrefix(signed, module) && bytes.HasSuffix(signed, []byte("~Module signature appended~\n"))
}

// sizeMaps gives the maps whose size is for the user to say that size.
func (p *plan) sizeMaps() error {
	for i := range p.Manifest.Maps {
		by, m := p.Manifest.Maps[i].Entries, &p.object.Maps[i]
		if by == "" {
			continue
		}
		if m.Role != MapRoleSized {
			return fmt.Errorf("map %s: the manifest has a parameter for its size, in the object it is fixed", m.Name)
		}
		n, err := strconv.ParseUint(p.texts[by], 10, 32)
		if err != nil || n == 0 || n > uint64(m.MaxEntries) {
			return &ParamError{fmt.Errorf("%s is %s: map %s takes 1 to %d entries", by, p.texts[by], m.Name, m.MaxEntries)}
		}
		m.MaxEntries = uint32(n)
	}
	return nil
}

// sameAsManifest compares what both the manifest and the object say. The
// kernel goes by the object; the user has read the manifest.
func (p *plan) sameAsManifest() error {
	m, o := p.Manifest, p.object
	switch {
	case m.Object.Digest != p.digest:
		return fmt.Errorf("digest %s, object has %s", m.Object.Digest, p.digest)
	case m.Name != o.Name || m.Version != o.Version:
		return fmt.Errorf("%s %s, object is %s %s", m.Name, m.Version, o.Name, o.Version)
	case len(m.Programs) != len(o.Programs):
		return fmt.Errorf("%d programs, object has %d", len(m.Programs), len(o.Programs))
	case len(m.Maps) != len(o.Maps):
		return fmt.Errorf("%d maps, object has %d", len(m.Maps), len(o.Maps))
	}
	for i := range m.Programs {
		a, b := &m.Programs[i], &o.Programs[i]
		if a.Name != b.Name || string(a.Hook) != b.Hook.String() {
			return fmt.Errorf("program %d is %s at %s, in the object %s at %s", i, a.Name, a.Hook, b.Name, b.Hook)
		}
		if v, ok := a.Hook.Verdict(a.OnFault); !ok || v != b.OnFault {
			return fmt.Errorf("program %s returns %q after a fault, in the object %d", a.Name, a.OnFault, b.OnFault)
		}
		if a.Stack != b.Stack {
			return fmt.Errorf("program %s has a stack of %d bytes, in the object %d", a.Name, a.Stack, b.Stack)
		}
	}
	for i := range m.Maps {
		a, b := &m.Maps[i], &o.Maps[i]
		if (ObjectMap{a.Name, a.Type, a.KeySize, a.ValueSize, a.MaxEntries, a.Flags, b.Key, b.Value, b.Role}) != *b {
			return fmt.Errorf("map %s is %+v, in the object %+v", a.Name, *a, *b)
		}
	}
	return nil
}
