// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
)

// Options of a build.
type Options struct {
	Dir      string // project's folder
	LibDir   string // lib/iupkg: has llvm/iu-pass.so and crate/
	CacheDir string // empty: DefaultCacheDir
	Offline  bool   // do not ask a registry for crates
	// KernelConfig is the .config that the [[variant]]s of iupkg.toml are decided for; empty:
	// none of them holds.
	KernelConfig string
	Stderr       io.Writer // the compiler's messages; nil drops them

	// Builder is the URI of whoever runs this build, for its provenance; empty:
	// LocalBuilder. Version is iupkg's own.
	Builder, Version string
}

// Result is what a build made.
type Result struct {
	ObjectPath     string
	DebugPath      string
	ManifestPath   string
	ReportPath     string
	ProvenancePath string
	SBOMPath       string
	Manifest       *manifest.Manifest
}

type builder struct {
	opts     Options
	dir      string // absolute, without links
	libDir   string
	cacheDir string
	tools    *tools
	project  *manifest.Project

	// Known as the build goes on.
	sysroot   string
	targetDir string // cargo's
	crate     *crate
	variants  []variant
}

// OutputDir is where Build leaves its results, in a project's folder.
func OutputDir(dir string) string { return filepath.Join(dir, "target", "iupkg") }

// variantDir is where BuildAll leaves object number n, from 0.
func variantDir(dir string, n int) string {
	if n == 0 {
		return OutputDir(dir)
	}
	return filepath.Join(OutputDir(dir), "variants", strconv.Itoa(n))
}

// Build makes the object and the manifest of the project in opts.Dir. What was
// there before is replaced only if all went well.
func Build(ctx context.Context, opts Options) (*Result, error) {
	b, err := newBuilder(opts)
	if err != nil {
		return nil, err
	}
	if err := b.decideVariants(ctx); err != nil {
		return nil, err
	}
	in, err := b.make(ctx)
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(filepath.Join(OutputDir(b.dir), "variants")); err != nil {
		return nil, err
	}
	return b.write(OutputDir(b.dir), in)
}

// BuildAll makes an object for each way in which a kernel's configuration can decide the
// [[variant]]s of the project: the one for which fewest hold where Build would leave it, each
// further one in variants/N, N from 1. No kernel meets the requirements of two.
// If a configuration is given, or there are no variants, it is Build.
func BuildAll(ctx context.Context, opts Options) ([]*Result, error) {
	b, err := newBuilder(opts)
	if err != nil {
		return nil, err
	}
	if opts.KernelConfig != "" || len(b.project.Variants) == 0 {
		r, err := Build(ctx, opts)
		return []*Result{r}, err
	}
	choices, err := variantChoices(b.project.Variants)
	if err != nil {
		return nil, err
	}
	// All are made before the first is written.
	builders, made := make([]*builder, len(choices)), make([]*ingredients, len(choices))
	for i, choice := range choices {
		if builders[i], err = newBuilder(opts); err != nil {
			return nil, err
		}
		builders[i].variants = choice
		if made[i], err = builders[i].make(ctx); err != nil {
			return nil, err
		}
	}
	if err := os.RemoveAll(filepath.Join(OutputDir(b.dir), "variants")); err != nil {
		return nil, err
	}
	results := make([]*Result, len(choices))
	for i := len(choices) - 1; i >= 0; i-- { // the one without a number last
		if results[i], err = builders[i].write(variantDir(b.dir, i), made[i]); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// make does all but leave the results. The variants are decided.
func (b *builder) make(ctx context.Context) (*ingredients, error) {
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	out := OutputDir(b.dir)
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(out, ".build-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)

	sources, err := b.compileAndLink(ctx, work)
	if err != nil {
		return nil, err
	}
	object, report, err := b.finish(work)
	if err != nil {
		return nil, err
	}
	if err := b.checkKernelTypes(object, report); err != nil {
		return nil, err
	}
	src, err := b.readSource(ctx, sources)
	if err != nil {
		return nil, err
	}
	debug, err := os.ReadFile(filepath.Join(work, fileDebug))
	if err != nil {
		return nil, err
	}
	return &ingredients{source: src, packages: b.tools.packages(ctx), object: object, report: report, debug: debug}, nil
}

// prepare does what comes before the extension's own code is compiled.
func (b *builder) prepare(ctx context.Context) (err error) {
	if b.sysroot, err = b.tools.sysroot(ctx, b.cacheDir); err != nil {
		return err
	}
	if err := b.makeTargetDir(); err != nil {
		return err
	}
	b.crate, err = b.vet(ctx)
	return err
}

func newBuilder(opts Options) (*builder, error) {
	b := &builder{opts: opts, libDir: opts.LibDir, cacheDir: opts.CacheDir}
	var err error
	if b.dir, err = filepath.Abs(opts.Dir); err != nil {
		return nil, err
	}
	if b.dir, err = filepath.EvalSymlinks(b.dir); err != nil {
		return nil, err
	}
	if b.libDir, err = filepath.Abs(opts.LibDir); err != nil {
		return nil, err
	}
	if b.cacheDir == "" {
		if b.cacheDir, err = DefaultCacheDir(); err != nil {
			return nil, err
		}
	}
	if b.cacheDir, err = filepath.Abs(b.cacheDir); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(b.dir, manifest.ProjectFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, &RuleError{File: manifest.ProjectFile, Rule: "is missing in " + b.dir, Why: "`iupkg new` makes a project"}
	} else if err != nil {
		return nil, err
	}
	if b.project, err = manifest.ParseProject(text); err != nil {
		return nil, err
	}
	b.tools, err = findTools()
	return b, err
}

// rel is a path as messages have it.
func (b *builder) rel(path string) string {
	if r, err := filepath.Rel(b.dir, path); err == nil && filepath.IsLocal(r) {
		return r
	}
	return path
}

// finish computes the stack bounds, completes the object's table and checks it.
func (b *builder) finish(work string) (object, report []byte, err error) {
	raw, err := os.ReadFile(filepath.Join(work, fileRaw))
	if err != nil {
		return nil, nil, err
	}
	f, err := elf.NewFile(bytes.NewReader(raw))
	if err != nil {
		return nil, nil, err
	}
	frames, err := stackFrames(f)
	if err != nil {
		return nil, nil, err
	}
	pass, err := os.ReadFile(filepath.Join(work, fileReport))
	if err != nil {
		return nil, nil, err
	}
	r, err := parseReport(pass)
	if err != nil {
		return nil, nil, err
	}
	stacks, err := stackBounds(r, frames)
	if err != nil {
		return nil, nil, err
	}
	if object, err = os.ReadFile(filepath.Join(work, fileObject)); err != nil {
		return nil, nil, err
	}
	if err := b.setPrograms(object, stacks); err != nil {
		return nil, nil, err
	}
	if err := checkObject(object); err != nil {
		return nil, nil, err
	}
	report, err = mergeReport(pass, frames, stacks)
	return object, report, err
}

// setPrograms writes bounds, and verdicts that iupkg.toml changes, into the table.
func (b *builder) setPrograms(object []byte, stacks map[string]uint32) error {
	table, err := programTable(object)
	if err != nil {
		return err
	}
	for _, p := range table {
		stack, ok := stacks[p.name()]
		if !ok {
			return fmt.Errorf("the pass's report has no program %s", p.name())
		}
		if checks := p.flags()&uint32(kernel.ProgStackCheck) != 0; (stack == 0) != checks {
			return fmt.Errorf("program %s: bound %d does not fit flags %#x", p.name(), stack, p.flags())
		}
		p.setStack(stack)
		i := slices.IndexFunc(b.project.Programs, func(q manifest.ProjectProgram) bool { return q.Name == p.name() })
		if i < 0 || b.project.Programs[i].OnFault == "" {
			continue
		}
		q := b.project.Programs[i]
		verdict, ok := q.Hook.Verdict(q.OnFault)
		if !ok {
			return projectError("program."+q.Name+".on-fault", "%s has no verdict %q", q.Hook, q.OnFault)
		}
		p.setOnFault(verdict)
	}
	return nil
}

// write replaces the results, the manifest last.
func (b *builder) write(out string, in *ingredients) (*Result, error) {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	o, err := kernel.ReadObject(in.object)
	if err != nil {
		return nil, err
	}
	m, err := b.makeManifest(o, in.object)
	if err != nil {
		return nil, err
	}
	if in.manifest, err = m.Encode(); err != nil {
		return nil, err
	}
	in.name, in.version, in.license = m.Name, m.Version, m.License
	in.pass = strings.TrimPrefix(m.Toolchain.Pass, "sha256:")
	provenance, err := b.makeProvenance(in)
	if err != nil {
		return nil, err
	}
	sbom, err := b.makeSBOM(in)
	if err != nil {
		return nil, err
	}
	name := filepath.Join(out, m.Name)
	r := &Result{
		ObjectPath:     name + ".o",
		DebugPath:      name + ".debug",
		ReportPath:     filepath.Join(out, fileReport),
		ProvenancePath: filepath.Join(out, fileProvenance),
		SBOMPath:       filepath.Join(out, fileSBOM),
		ManifestPath:   filepath.Join(out, fileManifest),
		Manifest:       m,
	}
	for _, f := range []struct {
		path string
		data []byte
	}{
		{r.ObjectPath, in.object}, {r.DebugPath, in.debug}, {r.ReportPath, in.report},
		{r.ProvenancePath, provenance}, {r.SBOMPath, sbom}, {r.ManifestPath, in.manifest},
	} {
		if err := writeFile(f.path, f.data, 0o644); err != nil {
			return nil, err
		}
	}
	return r, nil
}
