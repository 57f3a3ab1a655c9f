// SPDX-License-Identifier: Apache-2.0

package index

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/iupkg/iupkg/manifest"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Limits of the tree's files, in bytes.
const (
	maxNode = 1 << 20
	maxBin  = 32 << 20
)

// node lists the bins of one of the 64 groups of names.
type node struct {
	Schema int                `json:"schema"`
	Bins   map[string]*binRef `json:"bins"` // by identifier, three hex digits
}

type binRef struct {
	SHA256   string `json:"sha256"`
	Length   int64  `json:"length"`
	Packages int    `json:"packages"`
}

// bin holds the packages of one of the 4096 groups of names.
type bin struct {
	Schema   int        `json:"schema"`
	Packages []*Package `json:"packages"` // in the order of names
}

// binOf is the bin of a name: the first twelve bits of its SHA-256.
func binOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:2])[:3]
}

// nodeOf is the node of a bin: the first six bits, as two hex digits.
func nodeOf(bin string) string {
	var n int
	fmt.Sscanf(bin, "%03x", &n)
	return fmt.Sprintf("%02x", n>>6)
}

func isHex(s string, digits int) bool {
	return len(s) == digits && strings.Trim(s, "0123456789abcdef") == ""
}

// treePath is the target of a node or a bin.
func treePath(id string) string { return "bins/" + id + ".json" }

// nodeID is the node that a target is.
func nodeID(target string) (string, bool) {
	id, ok := strings.CutPrefix(target, "bins/")
	if !ok {
		return "", false
	}
	id, ok = strings.CutSuffix(id, ".json")
	return id, ok && isHex(id, 2) && id < "40"
}

// file is the bin as TUF describes a target.
func (r *binRef) file() *metadata.TargetFiles {
	hash, err := hex.DecodeString(r.SHA256)
	if err != nil {
		hash = nil // which nothing matches
	}
	return &metadata.TargetFiles{Length: r.Length, Hashes: metadata.Hashes{"sha256": hash}}
}

// read gives the bytes of a target, which it has checked.
type read func(target string, f *metadata.TargetFiles) ([]byte, error)

// nodes is the identifiers of the nodes there are, in order.
func (c *chain) nodes() []string {
	var out []string
	for target, f := range c.files() { // a signed null is as good as nothing
		if id, ok := nodeID(target); ok && f != nil {
			out = append(out, id)
		}
	}
	sort.Strings(out)
	return out
}

// node reads a node; one that there is not is empty.
func (c *chain) node(id string, get read) (*node, error) {
	target := treePath(id)
	var f *metadata.TargetFiles
	if c != nil {
		f = c.files()[target]
	}
	if f == nil {
		return &node{Schema: schema, Bins: map[string]*binRef{}}, nil
	}
	b, err := get(target, f)
	if err != nil {
		return nil, err
	}
	n, err := parseNode(b, id)
	if err != nil {
		return nil, refuse(target, err)
	}
	return n, nil
}

func parseNode(b []byte, id string) (*node, error) {
	var n node
	if err := json.Unmarshal(b, &n); err != nil {
		return nil, err
	}
	if n.Schema != schema {
		return nil, fmt.Errorf("schema is %d, this program reads %d", n.Schema, schema)
	}
	for name, r := range n.Bins {
		if !isHex(name, 3) || nodeOf(name) != id || r == nil || !isHex(r.SHA256, 64) || r.Length < 1 || r.Length > maxBin {
			return nil, fmt.Errorf("malformed bin %.20q", name)
		}
	}
	if n.Bins == nil {
		n.Bins = map[string]*binRef{}
	}
	return &n, nil
}

// ids is the node's bins, in order.
func (n *node) ids() []string {
	out := make([]string, 0, len(n.Bins))
	for id := range n.Bins {
		out = append(out, id)
	}
	sort.Strings(out)
	return out
}

// bin reads a bin; one that there is not is empty.
func (n *node) bin(id string, get read) (*bin, error) {
	r := n.Bins[id]
	if r == nil {
		return &bin{Schema: schema}, nil
	}
	target := treePath(id)
	b, err := get(target, r.file())
	if err != nil {
		return nil, err
	}
	x, err := parseBin(b, id)
	if err != nil {
		return nil, refuse(target, err)
	}
	return x, nil
}

func parseBin(b []byte, id string) (*bin, error) {
	var x bin
	if err := json.Unmarshal(b, &x); err != nil {
		return nil, err
	}
	if x.Schema != schema {
		return nil, fmt.Errorf("schema is %d, this program reads %d", x.Schema, schema)
	}
	for i, p := range x.Packages {
		if p == nil {
			return nil, errors.New("a package is null")
		}
		if err := p.validate(); err != nil {
			return nil, err
		}
		if binOf(p.Name) != id {
			return nil, fmt.Errorf("package %s does not belong there", p.Name)
		}
		if i > 0 && x.Packages[i-1].Name >= p.Name {
			return nil, errors.New("the names are not in order")
		}
	}
	return &x, nil
}

func (x *bin) find(name string) (int, bool) {
	return slices.BinarySearchFunc(x.Packages, name, func(p *Package, name string) int { return strings.Compare(p.Name, name) })
}

// put replaces a package or adds it.
func (x *bin) put(p *Package) {
	i, found := x.find(p.Name)
	if found {
		x.Packages[i] = p
	} else {
		x.Packages = slices.Insert(x.Packages, i, p)
	}
}

// loadOwned reads a package from the owner's tree, or says *UnknownPackage.
func (c *chain) loadOwned(name string, get read) (*Package, error) {
	if err := manifest.CheckName(name); err != nil {
		return nil, &UnknownPackage{Name: name}
	}
	id := binOf(name)
	n, err := c.node(nodeOf(id), get)
	if err != nil {
		return nil, err
	}
	x, err := n.bin(id, get)
	if err != nil {
		return nil, err
	}
	i, found := x.find(name)
	if !found {
		return nil, &UnknownPackage{Name: name}
	}
	return x.Packages[i], nil
}
