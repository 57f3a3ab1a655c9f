// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
)

// Part is what a check is about.
type Part string

// The parts.
const (
	PartBlobs      Part = "blobs"      // bytes in the store
	PartSignatures Part = "signatures" // publisher's and kernel's, by today's policy
	PartKernel     Part = "kernel"     // the extension loaded is this object
	PartModule     Part = "module"     // its wrapper
	PartPins       Part = "pins"       // of maps, stubs and links, and where the links lead
)

// A Check is one thing that was compared.
type Check struct {
	Package string `json:"package"`
	Part    Part   `json:"part"`
	OK      bool   `json:"ok"`
	// Mended: was not right and is again.
	Mended bool   `json:"mended,omitempty"`
	Detail string `json:"detail"`
}

// Verify compares a package with what it was when it was installed: every blob
// with its digest, the signatures with the policy of today, the kernel with the
// object. A corrupt or missing blob is fetched again if env has a Source.
func (r *Root) Verify(ctx context.Context, env *Env, pkg *Package) ([]Check, error) {
	var out []Check
	say := func(part Part, ok bool, format string, args ...any) *Check {
		out = append(out, Check{Package: pkg.Name, Part: part, OK: ok, Detail: fmt.Sprintf(format, args...)})
		return &out[len(out)-1]
	}
	var bad []string
	for _, d := range pkg.Blobs {
		_, err := r.Store.Get(d)
		var corrupt *CorruptBlob
		switch {
		case errors.As(err, &corrupt), errors.Is(err, fs.ErrNotExist):
			bad = append(bad, err.Error())
		case err != nil:
			return out, err
		}
	}
	if len(bad) == 0 {
		say(PartBlobs, true, "%d blobs match their digests", len(pkg.Blobs))
	} else {
		c := say(PartBlobs, false, "%s", bad[0])
		if len(bad) > 1 {
			c.Detail += fmt.Sprintf(" (and %d more)", len(bad)-1)
		}
		if env.Source != nil {
			if err := r.refetch(ctx, env, pkg); err != nil {
				c.Detail += "; fetching it again failed: " + err.Error()
			} else {
				c.OK, c.Mended = true, true
				c.Detail += "; fetched again"
			}
		}
	}
	quiet := *env
	quiet.Report = nil
	if _, v, err := verify(r.Store, &quiet, pkg); err != nil {
		say(PartSignatures, false, "%v", err)
	} else {
		say(PartSignatures, true, "signed by %s (%s)", v.Publisher, v.KeyIDs[0])
	}
	r.verifyKernel(env, pkg, func(part Part, ok bool, format string, args ...any) { say(part, ok, format, args...) })
	return out, nil
}

// refetch gets what is missing and insists that the artifact is the same.
func (r *Root) refetch(ctx context.Context, env *Env, pkg *Package) error {
	if _, err := env.Source.Fetch(ctx, pkg.Name, pkg.Digest, r.Store); err != nil {
		return err
	}
	for _, d := range pkg.Blobs {
		if _, err := r.Store.Get(d); err != nil {
			return err
		}
	}
	return nil
}

func (r *Root) verifyKernel(env *Env, pkg *Package, say func(Part, bool, string, ...any)) {
	status, err := env.Kernel.Status()
	if err != nil {
		say(PartKernel, false, "%v", err)
		return
	}
	var ext *kernel.Extension
	for i := range status {
		if status[i].Name == pkg.Name {
			ext = &status[i].Extension
		}
	}
	if ext == nil {
		say(PartKernel, false, "the kernel does not have it")
		return
	}
	if found := fmt.Sprintf("sha256:%x", ext.Digest); found != pkg.Object || ext.Version != pkg.Version {
		say(PartKernel, false, "the kernel has %s, object %s, not %s, object %s", ext.Version, found, pkg.Version, pkg.Object)
	} else {
		say(PartKernel, true, "the kernel has object %s", pkg.Object)
	}
	if _, err := os.Stat(filepath.Join("/sys/module", ext.Module)); err != nil {
		say(PartModule, false, "module %s: %v", ext.Module, err)
	} else {
		say(PartModule, true, "module %s, %d bytes", ext.Module, ext.ImageBytes)
	}
	rec := r.record(pkg.Name)
	if rec == nil {
		say(PartPins, false, "there is no record of this boot of what was pinned")
		return
	}
	if err := env.Kernel.Intact(rec); err != nil {
		say(PartPins, false, "%v", err)
		return
	}
	say(PartPins, true, "%d maps, %d programs and their links are where they were put, below %s", len(rec.Maps), len(rec.Programs), rec.PinDir)
}

// Record is what the kernel made of a package in this boot, nil if that is not
// known.
func (r *Root) Record(name string) *kernel.Loaded { return r.record(name) }

// Manifest reads a package's manifest from the store.
func (r *Root) Manifest(pkg *Package) (*manifest.Manifest, error) {
	b, err := r.Store.Get(pkg.Manifest)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", pkg.Name, pkg.Version, err)
	}
	return manifest.Parse(b)
}
