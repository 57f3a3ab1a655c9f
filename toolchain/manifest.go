// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
)

// arch is the machine of target, in Go's terms.
const arch = "amd64"

// makeManifest states what the object and iupkg.toml say together. Where both
// speak of one thing they agree, or it is refused.
func (b *builder) makeManifest(o *kernel.Object, object []byte) (*manifest.Manifest, error) {
	p := b.project
	m := &manifest.Manifest{
		Schema:      manifest.Schema,
		Name:        p.Package.Name,
		Version:     p.Package.Version,
		Description: p.Package.Description,
		License:     p.Package.License,
		Repository:  p.Package.Repository,
		Arch:        arch,
		Object:      manifest.Object{Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(object)), Size: int64(len(object))},
		Requires: manifest.Requirements{
			Release: p.Kernel.Release,
			Config:  append(slices.Clone(p.Kernel.Config), b.variantConfig()...),
			BTF:     p.Kernel.BTF,
			Symbols: p.Kernel.Symbols,
			ABI:     kernel.ABIVersion,
		},
		Dependencies: p.Dependencies,
		Conflicts:    p.Conflicts,
		Provides:     p.Provides,
		Features:     p.Features,
	}
	var err error
	if m.Params, err = mergeParams(o.Params, p.Params); err != nil {
		return nil, err
	}
	if m.Programs, err = mergePrograms(o.Programs, p.Programs); err != nil {
		return nil, err
	}
	for _, prog := range m.Programs {
		if !slices.Contains(m.Requires.Hooks, prog.Hook) {
			m.Requires.Hooks = append(m.Requires.Hooks, prog.Hook)
		}
		if req := prog.Hook.BTFTarget(prog.Attach); req != "" && !slices.Contains(m.Requires.BTF, req) {
			m.Requires.BTF = append(slices.Clip(m.Requires.BTF), req)
		}
	}
	for _, x := range o.Maps {
		m.Maps = append(m.Maps, manifest.Map{Name: x.Name, Type: x.Type, KeySize: x.KeySize,
			ValueSize: x.ValueSize, MaxEntries: x.MaxEntries, Flags: x.Flags})
	}
	for _, q := range p.Maps {
		i := slices.IndexFunc(m.Maps, func(x manifest.Map) bool { return x.Name == q.Name })
		if i < 0 {
			return nil, projectError("map."+q.Name, "no #[map] of that name is in the source")
		}
		m.Maps[i].Migrate, m.Maps[i].Counters, m.Maps[i].Entries = q.Migrate, q.Counters, q.Entries
	}
	m.SelfTests = p.SelfTests
	for i := range o.KRelocs {
		if req := btfRequirement(&o.KRelocs[i]); req != "" && !slices.Contains(m.Requires.BTF, req) {
			m.Requires.BTF = append(m.Requires.BTF, req)
		}
	}
	if m.Toolchain, err = b.toolchain(); err != nil {
		return nil, err
	}
	return m, m.Validate()
}

// btfRequirement is what the kernel must have for a kernel relocation; empty: nothing.
func btfRequirement(r *kernel.ObjectKReloc) string {
	if r.Flags&kernel.KRelocOptional != 0 {
		return ""
	}
	switch r.Kind {
	case kernel.KRelocField, kernel.KRelocEnum:
		return r.Type + "." + r.Field
	case kernel.KRelocSize:
		return r.Type
	}
	return ""
}

func (b *builder) toolchain() (manifest.Toolchain, error) {
	pass, err := os.ReadFile(b.passPath())
	if err != nil {
		return manifest.Toolchain{}, err
	}
	rustc, _, _ := strings.Cut(b.tools.rustcVersion, "\n")
	i := slices.IndexFunc(b.crate.deps, func(d dependency) bool { return d.name == "iu" })
	if i < 0 {
		return manifest.Toolchain{}, &RuleError{File: "Cargo.toml", Rule: "the crate does not depend on iu"}
	}
	return manifest.Toolchain{
		Rustc: rustc,
		LLVM:  b.tools.llvmVersion,
		IU:    fmt.Sprintf("%s, ABI %d", b.crate.deps[i].version, kernel.ABIVersion),
		Pass:  fmt.Sprintf("sha256:%x", sha256.Sum256(pass)),
	}, nil
}

func projectError(field, format string, args ...any) error {
	return &RuleError{File: manifest.ProjectFile, Rule: field + ": " + fmt.Sprintf(format, args...)}
}

// mergeParams puts the object's parameters first, in its order.
func mergeParams(object []kernel.ObjectParam, project []manifest.ProjectParam) ([]manifest.Param, error) {
	var out []manifest.Param
	inObject := map[string]bool{}
	for i := range object {
		q, err := objectParam(&object[i], i)
		if err != nil {
			return nil, err
		}
		inObject[q.Name] = true
		if j := slices.IndexFunc(project, func(p manifest.ProjectParam) bool { return p.Name == q.Name }); j >= 0 {
			p := project[j]
			q.Doc = p.Doc
			for _, f := range []struct{ key, project, object string }{
				{"type", string(p.Type), string(q.Type)},
				{"default", p.Default, q.Default},
				{"range", p.Min, q.Min},
				{"range", p.Max, q.Max},
			} {
				if f.project != "" && f.project != f.object {
					return nil, projectError("params."+q.Name+"."+f.key, "%s, but the source says %s", f.project, f.object)
				}
			}
		}
		out = append(out, q)
	}
	for _, p := range project {
		if inObject[p.Name] {
			continue
		}
		if p.Type == "" {
			return nil, projectError("params."+p.Name, "no #[param] in the source has this name")
		}
		out = append(out, manifest.Param{Name: p.Name, Type: p.Type, Default: p.Default, Min: p.Min, Max: p.Max, Doc: p.Doc})
	}
	return out, nil
}

func objectParam(p *kernel.ObjectParam, index int) (manifest.Param, error) {
	unsigned := func(v uint64) string { return strconv.FormatUint(v, 10) }
	signed := func(v uint64) string { return strconv.FormatInt(int64(v), 10) }
	q := manifest.Param{Name: p.Name, Object: &index}
	switch p.Type {
	case kernel.ParamBool:
		q.Type, q.Default = manifest.ParamBool, strconv.FormatBool(p.Value != 0)
	case kernel.ParamU64:
		q.Type, q.Default, q.Min, q.Max = manifest.ParamU64, unsigned(p.Value), unsigned(p.Min), unsigned(p.Max)
	case kernel.ParamI64:
		q.Type, q.Default, q.Min, q.Max = manifest.ParamI64, signed(p.Value), signed(p.Min), signed(p.Max)
	default:
		return q, fmt.Errorf("parameter %s has type %d", p.Name, p.Type)
	}
	return q, nil
}

func mergePrograms(object []kernel.ObjectProgram, project []manifest.ProjectProgram) ([]manifest.Program, error) {
	var out []manifest.Program
	for _, o := range object {
		hook := manifest.Hook(o.Hook.String())
		i := slices.IndexFunc(project, func(p manifest.ProjectProgram) bool { return p.Name == o.Name })
		if i < 0 {
			return nil, projectError("program."+o.Name, "is missing: the source has #[%s] fn %s", hook, o.Name)
		}
		p := project[i]
		if p.Hook != hook {
			return nil, projectError("program."+o.Name+".hook", "is %s, but the source says %s", p.Hook, hook)
		}
		verdict, ok := hook.VerdictName(o.OnFault)
		if !ok {
			return nil, fmt.Errorf("program %s: %s has no verdict %d", o.Name, hook, o.OnFault)
		}
		out = append(out, manifest.Program{Name: o.Name, Hook: hook, Attach: p.Attach,
			OnFault: verdict, MaxFaults: p.MaxFaults, Stack: o.Stack})
	}
	for _, p := range project {
		if !slices.ContainsFunc(object, func(o kernel.ObjectProgram) bool { return o.Name == p.Name }) {
			return nil, projectError("program."+p.Name, "the source has no #[%s] function of this name", p.Hook)
		}
	}
	return out, nil
}
