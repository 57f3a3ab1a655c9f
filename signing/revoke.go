// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Revoke adds to what no identity vouches for any more on this machine, in revoked.json.
func (p *Policy) Revoke(more *Revoked) error {
	if err := more.validate(); err != nil {
		return err
	}
	all := &Revoked{}
	if p.revoked != nil {
		*all = *p.revoked
	}
	add := func(list *[]string, more []string) {
		for _, x := range more {
			if !slices.Contains(*list, x) {
				*list = append(slices.Clip(*list), x)
			}
		}
	}
	add(&all.Keys, more.Keys)
	add(&all.Digests, more.Digests)
	add(&all.Versions, more.Versions)
	b, err := marshal(all)
	if err != nil {
		return err
	}
	if err := all.validate(); err != nil {
		return err
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(p.dir, revokedFile), append(b, '\n'), 0o644); err != nil {
		return err
	}
	p.revoked = all
	return nil
}

// Revoked is what is revoked on this machine whoever signed it.
func (p *Policy) Revoked() Revoked {
	if p.revoked == nil {
		return Revoked{}
	}
	return *p.revoked
}

// Overlap keeps the keys that old has and id does not, until a time, so that what was
// signed before a rotation is trusted while it is signed anew, and the certificates of
// the kernel, without which what is installed could not be loaded again.
func (id *Identity) Overlap(old *Identity, until time.Time) {
	until = until.UTC()
	for _, k := range old.Keys {
		if slices.ContainsFunc(id.Keys, func(o Key) bool { return o.PEM == k.PEM }) {
			continue
		}
		if k.NotAfter == nil || k.NotAfter.After(until) {
			k.NotAfter = &until
		}
		id.Keys = append(id.Keys, k)
	}
	for _, c := range old.KernelCertificates {
		if !slices.Contains(id.KernelCertificates, c) {
			id.KernelCertificates = append(id.KernelCertificates, c)
		}
	}
}
