// SPDX-License-Identifier: Apache-2.0

package index

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/iupkg/iupkg/manifest"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// maxDelegated bounds the roles that an owner may delegate to.
const maxDelegated = 1024

var zeroTime time.Time // at which nothing has expired

// packagePath is the target of a package in a delegated role, or, of a pattern over
// names, the path pattern of the delegation.
func packagePath(name string) string { return "packages/" + name + ".json" }

// packageName is the package that such a target is.
func packageName(target string) (string, bool) {
	name, ok := strings.CutPrefix(target, "packages/")
	if !ok {
		return "", false
	}
	name, ok = strings.CutSuffix(name, ".json")
	return name, ok && manifest.CheckName(name) == nil
}

// checkRole says what is wrong with a delegation to be made, if anything.
func checkRole(publisher string, patterns []string) error {
	if publisher == "" || len(publisher) > 64 || strings.Trim(publisher, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" ||
		slices.Contains([]string{metadata.ROOT, metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP}, publisher) {
		return fmt.Errorf("%.80q cannot be the name of a role", publisher)
	}
	if len(patterns) == 0 || len(patterns) > 1024 {
		return fmt.Errorf("%d patterns of names, want 1 to 1024", len(patterns))
	}
	for _, p := range patterns {
		if p == "" || len(p) > 128 || strings.Trim(p, "abcdefghijklmnopqrstuvwxyz0123456789-*") != "" {
			return fmt.Errorf("pattern %.80q: want at most 128 of a-z, 0-9, '-' and '*'", p)
		}
	}
	return nil
}

// delegated is the roles that the owner has delegated to, in order.
func (c *chain) delegated() []metadata.DelegatedRole {
	if c == nil {
		return nil
	}
	list := c.md.Targets[metadata.TARGETS].Signed.Delegations
	if list == nil {
		return nil
	}
	return list.Roles[:min(len(list.Roles), maxDelegated)]
}

// roleNames is "targets" and the delegated roles that there is something of.
func (c *chain) roleNames() []string {
	names := []string{metadata.TARGETS}
	for _, r := range c.delegated() {
		if c.parts[r.Name] != nil {
			names = append(names, r.Name)
		}
	}
	return names
}

// roleBytes is a role's file, nil if there is none.
func (c *chain) roleBytes(role string) []byte {
	if c == nil {
		return nil
	}
	if role == metadata.TARGETS {
		return c.targets
	}
	return c.parts[role]
}

// part is a package as a delegated role lists it.
type part struct {
	name string
	file *metadata.TargetFiles
}

// packagesOf is the packages that a delegated role lists, in order, those that it
// may not list among them.
func (c *chain) packagesOf(role string) []part {
	m := c.md.Targets[role]
	if m == nil {
		return nil
	}
	var out []part
	for target, f := range m.Signed.Targets {
		if name, ok := packageName(target); ok && f != nil {
			out = append(out, part{name, f})
		}
	}
	slices.SortFunc(out, func(a, b part) int { return strings.Compare(a.name, b.name) })
	return out
}

// parts is the packages that the delegated roles list and may list, in order; of two
// roles with one name the first counts.
func (c *chain) delegatedParts() []part {
	var out []part
	seen := map[string]bool{}
	for _, r := range c.delegated() {
		for _, x := range c.packagesOf(r.Name) {
			if ok, err := r.IsDelegatedPath(packagePath(x.name)); err != nil || !ok || seen[x.name] {
				continue
			}
			seen[x.name] = true
			out = append(out, x)
		}
	}
	return out
}

// loadFrom reads a package of one role, or says *UnknownPackage.
func (c *chain) loadFrom(role, name string, get read) (*Package, error) {
	if role == metadata.TARGETS || c == nil {
		return c.loadOwned(name, get)
	}
	m := c.md.Targets[role]
	if m == nil || m.Signed.Targets[packagePath(name)] == nil {
		return nil, &UnknownPackage{Name: name}
	}
	return readPart(part{name, m.Signed.Targets[packagePath(name)]}, get)
}

func readPart(x part, get read) (*Package, error) {
	target := packagePath(x.name)
	b, err := get(target, x.file)
	if err != nil {
		return nil, err
	}
	p, err := parsePart(b, x.name)
	if err != nil {
		return nil, refuse(target, err)
	}
	return p, nil
}

func parsePart(b []byte, name string) (*Package, error) {
	var p Package
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, err
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	if p.Name != name {
		return nil, fmt.Errorf("it is of the package %s", p.Name)
	}
	return &p, nil
}

// load reads a package: the owner's list counts first, then the roles that may list
// the name, in order. One that only roles list that may not is refused.
func (c *chain) load(name string, get read) (*Package, error) {
	p, err := c.loadOwned(name, get)
	if !is[*UnknownPackage](err) {
		return p, err
	}
	outside := ""
	for _, r := range c.delegated() {
		ok, e := r.IsDelegatedPath(packagePath(name))
		if e != nil || !ok {
			if m := c.md.Targets[r.Name]; m != nil && m.Signed.Targets[packagePath(name)] != nil {
				outside = r.Name
			}
			continue
		}
		if broken := c.broken[r.Name]; broken != nil {
			return nil, broken
		}
		if p, e := c.loadFrom(r.Name, name, get); !is[*UnknownPackage](e) {
			return p, e
		}
	}
	if outside != "" {
		return nil, &Untrusted{File: outside + ".json", Reason: OutsideNames, Err: fmt.Errorf("%s lists %s, which the owner of the index has not given to it", outside, name)}
	}
	return nil, err
}

// The history of a timestamp: marks of states whose content is in it, the one that it
// was made from first.
const historyField = "x-iupkg-history"

func (c *chain) history() []string {
	list, _ := c.md.Timestamp.Signed.UnrecognizedFields[historyField].([]any)
	var out []string
	for _, x := range list {
		if s, ok := x.(string); ok && len(out) < historyMax {
			out = append(out, s)
		}
	}
	return out
}

// mark names a state among those of all times: its version, so that marks sort, and
// the hash of its timestamp.
func (c *chain) mark() string { return markOf(c.md.Timestamp.Signed.Version, c.timestamp) }

func markOf(version int64, timestamp []byte) string {
	return fmt.Sprintf("%019d-%s", version, hashOf(timestamp)[:24])
}

// markAfter is before all marks of that version.
func markAfter(version int64) string { return fmt.Sprintf("%019d-", max(version, 0)) }

var errNoMeta = errors.New("it names a file and says nothing of it")
