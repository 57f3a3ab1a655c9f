// SPDX-License-Identifier: Apache-2.0

package resolve

import (
	"context"
	"errors"
	"math/bits"
	"slices"

	"github.com/iupkg/iupkg/manifest"
)

// Member is one kernel of a fleet.
type Member struct {
	Name      string // "6.12.117+deb12-amd64"; unique
	Host      Host
	Installed []Pinned
}

// Fleet is what can be had on several kernels.
type Fleet struct {
	// Members have a plan of their own each, in the order given.
	Members []MemberPlan `json:"members"`
	// Common is the best plan that fits all of them; nil: NoCommon says why there
	// is none.
	Common   *Plan          `json:"common,omitempty"`
	NoCommon *Unsatisfiable `json:"-"`
	// Blocked are the versions newer than Common's that some members would have
	// by themselves.
	Blocked []Block `json:"blocked,omitempty"`
	// Split parts those members that have a plan into as few groups as can be, each
	// with a plan that fits all of it. Nothing if there is Common.
	Split []Group `json:"split,omitempty"`
}

// MemberPlan is the plan for one member: Plan, or Fail if there is none.
type MemberPlan struct {
	Name string         `json:"name"`
	Plan *Plan          `json:"plan,omitempty"`
	Fail *Unsatisfiable `json:"-"`
}

// Block is a version that a fleet as a whole cannot have.
type Block struct {
	Name    string    `json:"name"`
	Version string    `json:"version"`
	For     []string  `json:"for"` // members that would have it
	By      []Blocker `json:"by"`  // and those that cannot
}

// Blocker is a member and what keeps a version from it.
type Blocker struct {
	Member string    `json:"member"`
	Why    Rejection `json:"why"`
}

// Group is a part of a fleet.
type Group struct {
	Members []string `json:"members"`
	Plan    *Plan    `json:"plan"`
}

// maxExactSplit is the number of members up to which the smallest split is
// sought; of more, each goes into the first group that it fits.
const maxExactSplit = 8

// SolveFleet solves for each member and for all together. What is installed
// counts for all together if it is the same everywhere, else for each member
// only. That there is no plan for one, or for
// all, is no error but part of the answer.
func SolveFleet(ctx context.Context, src Source, members []Member, want []manifest.Spec) (*Fleet, error) {
	src = &onceSource{src: src, got: map[string]listed{}}
	f := &Fleet{}
	able := []Member{}
	for _, m := range members {
		mp := MemberPlan{Name: m.Name}
		plan, err := Solve(ctx, src, m.Host, want, m.Installed)
		switch {
		case errors.As(err, &mp.Fail):
		case err != nil:
			return nil, err
		default:
			mp.Plan = plan
			able = append(able, m)
		}
		f.Members = append(f.Members, mp)
	}
	if len(members) == 1 {
		f.Common, f.NoCommon = f.Members[0].Plan, f.Members[0].Fail
		return f, nil
	}
	common, err := Solve(ctx, src, joint(members), want, sameEverywhere(members))
	switch {
	case err == nil:
		f.Common = common
		f.findBlocks()
		return f, nil
	case !errors.As(err, &f.NoCommon):
		return nil, err
	}
	return f, f.split(ctx, src, able, want)
}

// sameEverywhere is what is installed on all members alike, nothing if they
// differ.
func sameEverywhere(members []Member) []Pinned {
	for _, m := range members {
		if !slices.EqualFunc(m.Installed, members[0].Installed, func(a, b Pinned) bool {
			return a.Name == b.Name && a.Version == b.Version && a.Digest == b.Digest && a.Auto == b.Auto && a.Upgrade == b.Upgrade
		}) {
			return nil
		}
	}
	if len(members) == 0 {
		return nil
	}
	return members[0].Installed
}

// findBlocks reads off the members' own plans what they would have.
func (f *Fleet) findBlocks() {
	for _, c := range f.Common.Packages {
		var versions []manifest.Version
		for _, m := range f.Members {
			own := m.Plan.find(c.Name)
			if own == nil {
				continue
			}
			v, err := manifest.ParseVersion(own.Version)
			if err == nil && newer(v, c.Version) && !slices.ContainsFunc(versions, func(o manifest.Version) bool { return o.Compare(v) == 0 }) {
				versions = append(versions, v)
			}
		}
		slices.SortFunc(versions, func(a, b manifest.Version) int { return b.Compare(a) })
		for _, v := range versions {
			b := Block{Name: c.Name, Version: v.String()}
			for _, m := range f.Members {
				own := m.Plan.find(c.Name)
				if own == nil {
					continue
				}
				if own.Version == b.Version {
					b.For = append(b.For, m.Name)
				}
				for _, r := range own.Rejected {
					if r.Version == b.Version {
						b.By = append(b.By, Blocker{m.Name, r})
					}
				}
			}
			f.Blocked = append(f.Blocked, b)
		}
	}
}

func newer(v manifest.Version, than string) bool {
	t, err := manifest.ParseVersion(than)
	return err == nil && v.Compare(t) > 0
}

func (p *Plan) find(name string) *Choice {
	if p == nil {
		return nil
	}
	return p.Find(name)
}

// split parts members into groups. A plan for a group fits every part of it, so
// groups may be sought among all subsets.
func (f *Fleet) split(ctx context.Context, src Source, members []Member, want []manifest.Spec) error {
	try := func(some []Member) (*Plan, error) {
		plan, err := Solve(ctx, src, joint(some), want, sameEverywhere(some))
		var un *Unsatisfiable
		if errors.As(err, &un) {
			return nil, nil
		}
		return plan, err
	}
	var parts [][]Member
	if len(members) <= maxExactSplit {
		var err error
		if parts, err = smallestSplit(members, try); err != nil {
			return err
		}
	} else {
	next:
		for _, m := range members {
			for i := range parts {
				bigger := append(slices.Clone(parts[i]), m)
				plan, err := try(bigger)
				if err != nil {
					return err
				}
				if plan != nil {
					parts[i] = bigger
					continue next
				}
			}
			parts = append(parts, []Member{m})
		}
	}
	for _, part := range parts {
		var g Group
		for _, m := range part {
			g.Members = append(g.Members, m.Name)
		}
		if len(part) == 1 { // with what is installed there
			at := slices.IndexFunc(f.Members, func(m MemberPlan) bool { return m.Name == part[0].Name })
			g.Plan = f.Members[at].Plan
		} else {
			var err error
			if g.Plan, err = try(part); err != nil {
				return err
			}
		}
		f.Split = append(f.Split, g)
	}
	return nil
}

// smallestSplit finds, for every subset of the members, the fewest groups that it
// falls into.
func smallestSplit(members []Member, try func([]Member) (*Plan, error)) ([][]Member, error) {
	n := len(members)
	pick := func(set uint) []Member {
		var some []Member
		for i, m := range members {
			if set&(1<<i) != 0 {
				some = append(some, m)
			}
		}
		return some
	}
	fits := make([]bool, 1<<n)
	for set := uint(1); set < 1<<n; set++ {
		if bits.OnesCount(set) == 1 {
			fits[set] = true // by its own plan
			continue
		}
		// What does not go with a part of a group does not go with all of it.
		whole := true
		for i := range n {
			if less := set &^ (1 << i); less != set && !fits[less] {
				whole = false
			}
		}
		if !whole {
			continue
		}
		plan, err := try(pick(set))
		if err != nil {
			return nil, err
		}
		fits[set] = plan != nil
	}
	fewest := make([]int, 1<<n)
	last := make([]uint, 1<<n)
	for set := uint(1); set < 1<<n; set++ {
		fewest[set] = n + 1
		lowest := set & -set
		for sub := set; sub > 0; sub = (sub - 1) & set {
			// The group of the first member is the largest that can be, by order.
			if sub&lowest != 0 && fits[sub] && fewest[set&^sub]+1 < fewest[set] {
				fewest[set], last[set] = fewest[set&^sub]+1, sub
			}
		}
	}
	var parts [][]Member
	for set := uint(1)<<n - 1; set > 0; set &^= last[set] {
		parts = append(parts, pick(last[set]))
	}
	return parts, nil
}

// joint is the Host of several kernels: what one lacks, all lack.
type joint []Member

// Check tags what is found with the kernel that it was found of.
func (j joint) Check(r manifest.Requirements) []manifest.Finding {
	var out []manifest.Finding
	for _, m := range j {
		out = append(out, m.tag(m.Host.Check(r))...)
	}
	return out
}

func (j joint) String() string {
	var names []string
	for _, m := range j {
		names = append(names, m.Name)
	}
	return join(names)
}

// onceSource asks another source for each name once, however often a problem is
// solved.
type onceSource struct {
	src Source
	got map[string]listed
}

type listed struct {
	list []Candidate
	err  error
}

// Providers is Source.
func (s *onceSource) Providers(ctx context.Context, name string) ([]string, error) {
	return s.src.Providers(ctx, name)
}

// Versions is Source.
func (s *onceSource) Versions(ctx context.Context, name string) ([]Candidate, error) {
	l, ok := s.got[name]
	if !ok {
		l.list, l.err = s.src.Versions(ctx, name)
		s.got[name] = l
	}
	return l.list, l.err
}
