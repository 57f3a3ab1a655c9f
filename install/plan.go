// SPDX-License-Identifier: Apache-2.0

package install

import (
	"maps"
	"slices"
)

// An Item is one package that is to be installed after a transaction.
type Item struct {
	Name    string            `json:"name"`
	Version string            `json:"version"`
	Digest  string            `json:"digest"` // of the OCI manifest
	Params  map[string]string `json:"params,omitempty"`
	Auto    bool              `json:"auto,omitempty"`
	// As in Package.
	Constraint string   `json:"constraint,omitempty"`
	Features   []string `json:"features,omitempty"`
}

// Op is what a transaction does to one package.
type Op string

// The operations.
const (
	OpKeep    Op = "keep"
	OpInstall Op = "install" // was not there
	OpReplace Op = "replace" // another version or build, in place where the kernel can
	OpReload  Op = "reload"  // the same with other parameters
	OpRemove  Op = "remove"
)

// A Change is one operation of a plan. Old is nil for OpInstall, New for OpRemove.
type Change struct {
	Op  Op       `json:"op"`
	Old *Package `json:"old,omitempty"`
	New *Item    `json:"new,omitempty"`
}

// Name is the package's.
func (c *Change) Name() string {
	if c.New != nil {
		return c.New.Name
	}
	return c.Old.Name
}

// A Plan is what a transaction will do, as a value: the same generation and the
// same target give the same plan. Removals come first, dependents before what
// they depend on; then the target in its order.
type Plan struct {
	Base    int      `json:"base"` // generation it starts from
	Did     string   `json:"did"`
	Changes []Change `json:"changes"`
}

// CheckParams refuses, with BadParams, what is set or missing of the parameters of packages
// that the store has. It returns the others of which something is set, which is checked once
// they are fetched.
func (r *Root) CheckParams(p *Plan) (unknown []string, err error) {
	for i := range p.Changes {
		c := &p.Changes[i]
		if c.Op == OpKeep || c.New == nil {
			continue
		}
		f, err := r.stored(c.New.Digest)
		if err != nil {
			return nil, err
		}
		if f == nil {
			if len(c.New.Params) > 0 {
				unknown = append(unknown, c.Name())
			}
			continue
		}
		m, err := r.Manifest(&Package{Name: c.New.Name, Version: c.New.Version, Manifest: f.Manifest})
		if err != nil {
			return nil, err
		}
		if _, err := m.Settings(c.New.Params); err != nil {
			return nil, &BadParams{err}
		}
	}
	return unknown, nil
}

// NewPlan says how to get from a generation to exactly the packages of target,
// in which a package comes after those that it depends on.
func NewPlan(base *Generation, did string, target []Item) *Plan {
	p := &Plan{Base: base.Number, Did: did, Changes: []Change{}}
	wanted := map[string]bool{}
	for _, t := range target {
		wanted[t.Name] = true
	}
	for i := len(base.Packages) - 1; i >= 0; i-- {
		if old := &base.Packages[i]; !wanted[old.Name] {
			p.Changes = append(p.Changes, Change{Op: OpRemove, Old: old})
		}
	}
	for i := range target {
		item := &target[i]
		old := base.Find(item.Name)
		c := Change{Op: OpKeep, Old: old, New: item}
		switch {
		case old == nil:
			c.Op = OpInstall
		case old.Digest != item.Digest:
			c.Op = OpReplace
		case !maps.Equal(old.Params, item.Params):
			c.Op = OpReload
		}
		p.Changes = append(p.Changes, c)
	}
	return p
}

// Empty says that there is nothing to do, and nothing to be remembered.
func (p *Plan) Empty() bool {
	for _, c := range p.Changes {
		if c.Op != OpKeep || c.Old.Auto != c.New.Auto || c.Old.Constraint != c.New.Constraint || !slices.Equal(c.Old.Features, c.New.Features) {
			return false
		}
	}
	return true
}

// Item is the package as a target.
func (p *Package) Item() Item {
	return Item{Name: p.Name, Version: p.Version, Digest: p.Digest, Params: maps.Clone(p.Params), Auto: p.Auto,
		Constraint: p.Constraint, Features: p.Features}
}

// Items is the generation as a target.
func (g *Generation) Items() []Item {
	items := make([]Item, len(g.Packages))
	for i := range g.Packages {
		items[i] = g.Packages[i].Item()
	}
	return items
}
