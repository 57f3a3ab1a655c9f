// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/iupkg/iupkg/manifest"
)

// schema of generation and journal files.
const schema = 1

// A Generation is a committed set of packages. Generation 0 is the empty one
// of a new root and has no file.
type Generation struct {
	Schema int       `json:"schema"`
	Number int       `json:"number"`
	Time   time.Time `json:"time"`
	// Did says what made it, "install bmc@1.2".
	Did string `json:"did"`
	// Kernel is the release of the kernel it was loaded into.
	Kernel string `json:"kernel"`
	// Packages come after those that they depend on.
	Packages []Package `json:"packages"`
}

// A Package is one installed version.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Digest names the OCI image manifest, which names all below but the bundles.
	Digest    string `json:"digest"`
	Manifest  string `json:"manifest"`
	Object    string `json:"object"`
	KernelSig string `json:"kernelSignature"`
	Debug     string `json:"debug,omitempty"`
	// Blobs are all that belong to it, those above and the bundles too, sorted.
	Blobs   []string `json:"blobs"`
	Bundles []string `json:"bundles"`
	// Wrappers are modules made ahead, signed, for this machine's kernel.
	Wrappers []string `json:"wrappers,omitempty"`
	Signer   Signer   `json:"signer"`
	// Params are what the user set; what he did not has the manifest's default.
	Params map[string]string `json:"params,omitempty"`
	// Auto: only because another needs it.
	Auto bool `json:"auto,omitempty"`
	// Constraint is the one that the user asked for it by, which upgrades keep to;
	// empty: none. Features are those that the user asked for.
	Constraint string   `json:"constraint,omitempty"`
	Features   []string `json:"features,omitempty"`
}

// A Signer is who vouched for a package when it was installed.
type Signer struct {
	Publisher string `json:"publisher"`
	KeyID     string `json:"keyID"`
}

// Find returns the package of that name, or nil.
func (g *Generation) Find(name string) *Package {
	for i := range g.Packages {
		if g.Packages[i].Name == name {
			return &g.Packages[i]
		}
	}
	return nil
}

// Current reads the generation in force.
func (r *Root) Current() (*Generation, error) {
	target, err := os.Readlink(r.Sub("current"))
	if errors.Is(err, fs.ErrNotExist) {
		return &Generation{Schema: schema}, nil
	}
	if err != nil {
		return nil, err
	}
	n, ok := generationNumber(filepath.Base(target))
	if !ok {
		return nil, fmt.Errorf("%s points to %q, which is no generation", r.Sub("current"), target)
	}
	return r.Generation(n)
}

// Generation reads one generation; fs.ErrNotExist if there is none of that number.
func (r *Root) Generation(n int) (*Generation, error) {
	path := r.generationPath(n)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var g Generation
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&g); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if g.Schema != schema || g.Number != n {
		return nil, fmt.Errorf("%s: is schema %d, number %d; want schema %d, number %d", path, g.Schema, g.Number, schema, n)
	}
	for _, p := range g.Packages {
		if err := p.check(); err != nil {
			return nil, fmt.Errorf("%s: package %q: %w", path, p.Name, err)
		}
	}
	return &g, nil
}

func (p *Package) check() error {
	if err := manifest.CheckName(p.Name); err != nil {
		return err
	}
	if _, err := manifest.ParseVersion(p.Version); err != nil {
		return err
	}
	if _, err := manifest.ParseConstraint(p.Constraint); err != nil {
		return err
	}
	for _, f := range p.Features {
		if err := manifest.CheckName(f); err != nil {
			return err
		}
	}
	for _, d := range append([]string{p.Digest, p.Manifest, p.Object, p.KernelSig}, p.Blobs...) {
		if err := manifest.CheckDigest(d); err != nil {
			return err
		}
	}
	return nil
}

// History is every generation, oldest first.
func (r *Root) History() ([]*Generation, error) {
	entries, err := os.ReadDir(r.Sub("generations"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []*Generation
	for _, e := range entries {
		n, ok := generationNumber(e.Name())
		if !ok {
			continue
		}
		g, err := r.Generation(n)
		if errors.Is(err, fs.ErrNotExist) {
			continue // collected since
		}
		if err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b *Generation) int { return cmp.Compare(a.Number, b.Number) })
	return all, nil
}

// commit makes g the generation in force.
func (r *Root) commit(g *Generation) error {
	data, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(r.generationPath(g.Number), append(data, '\n')); err != nil {
		return err
	}
	return r.point(g.Number)
}

// point makes generation n, which has a file or is 0, the one in force.
func (r *Root) point(n int) error {
	if n == 0 {
		return remove(r.Sub("current"))
	}
	return symlink(filepath.Join("generations", strconv.Itoa(n)+".json"), r.Sub("current"))
}

// nextNumber is above every generation there is, so that a number never means
// two things, whatever a killed transaction left.
func (r *Root) nextNumber() (int, error) {
	entries, err := os.ReadDir(r.Sub("generations"))
	if err != nil {
		return 0, err
	}
	last := 0
	for _, e := range entries {
		if n, ok := generationNumber(e.Name()); ok {
			last = max(last, n)
		}
	}
	return last + 1, nil
}

func (r *Root) generationPath(n int) string {
	return filepath.Join(r.dir, "generations", strconv.Itoa(n)+".json")
}

func generationNumber(file string) (int, bool) {
	s, ok := strings.CutSuffix(file, ".json")
	n, err := strconv.Atoi(s)
	return n, ok && err == nil && n > 0 && strconv.Itoa(n) == s
}
