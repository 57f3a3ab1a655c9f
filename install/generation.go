// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"cmp"
	"crypto/sha256"
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
	// Sum is the SHA-256 of the file without it: what a disk does to a file must not be
	// taken for what was committed.
	Sum string `json:"sum,omitempty"`
}

// maxGeneration is more than the file of any generation has, bytes.
const maxGeneration = 64 << 20

// Encode is the file of a generation.
func (g *Generation) Encode() ([]byte, error) {
	c := *g
	c.Sum, c.Packages = "", slices.Clone(g.Packages)
	for i := range c.Packages { // null is nothing that is read here
		p := &c.Packages[i]
		p.Blobs, p.Bundles = append([]string{}, p.Blobs...), append([]string{}, p.Bundles...)
	}
	if c.Packages == nil {
		c.Packages = []Package{}
	}
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, err
	}
	c.Sum = fmt.Sprintf("%x", sha256.Sum256(b))
	if b, err = json.MarshalIndent(c, "", "  "); err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

// decodeGeneration reads what Encode wrote, and nothing else.
func decodeGeneration(b []byte, file string) (*Generation, error) {
	var g Generation
	if err := manifest.DecodeJSON(b, &g, maxGeneration, file); err != nil {
		return nil, &Damaged{err}
	}
	again, err := g.Encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		return nil, &Damaged{fmt.Errorf("%s: is damaged or was edited: its checksum is not the one that it was written with", file)}
	}
	return &g, nil
}

// Damaged is what there is instead of a generation; the message names the file.
type Damaged struct{ Err error }

func (e *Damaged) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *Damaged) Unwrap() error { return e.Err }

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
		return nil, &Damaged{err}
	}
	n, ok := generationNumber(filepath.Base(target))
	if !ok {
		return nil, &Damaged{fmt.Errorf("%s points to %q, which is no generation", r.Sub("current"), target)}
	}
	g, err := r.Generation(n)
	if errors.Is(err, fs.ErrNotExist) {
		if now, err := os.Readlink(r.Sub("current")); err == nil && now != target {
			return r.Current() // another has committed and collected meanwhile
		}
		return nil, &Damaged{fmt.Errorf("%s points to a generation that is not there: %w", r.Sub("current"), err)}
	}
	return g, err
}

// Generation reads one generation; fs.ErrNotExist if there is none of that number.
func (r *Root) Generation(n int) (*Generation, error) {
	path := r.generationPath(n)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	g, err := decodeGeneration(data, path)
	if err != nil {
		return nil, err
	}
	if g.Schema != schema || g.Number != n {
		return nil, &Damaged{fmt.Errorf("%s: is schema %d, number %d; want schema %d, number %d", path, g.Schema, g.Number, schema, n)}
	}
	for i, p := range g.Packages {
		if err := p.check(); err != nil {
			return nil, &Damaged{fmt.Errorf("%s: package %q: %w", path, p.Name, err)}
		}
		if g.Find(p.Name) != &g.Packages[i] {
			return nil, &Damaged{fmt.Errorf("%s: package %q stands twice", path, p.Name)}
		}
	}
	return g, nil
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
	data, err := g.Encode()
	if err != nil {
		return err
	}
	if err := writeFile(r.generationPath(g.Number), data); err != nil {
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
