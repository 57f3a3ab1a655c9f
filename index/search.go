// SPDX-License-Identifier: Apache-2.0

package index

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/iupkg/iupkg/manifest"
)

// Hit is a package as a search finds it.
type Hit struct {
	Name        string          `json:"name"`
	Version     string          `json:"version"` // the newest that is neither yanked nor a prerelease, if there is one
	Description string          `json:"description,omitempty"`
	Hooks       []manifest.Hook `json:"hooks,omitempty"`
}

// A search file is made on this machine from the bins, to look through a hundred
// thousand packages without parsing them. For each bin, in order, it has a line of
// '#', the bin's identifier and its hash; then a line for each package of name,
// version, hooks with spaces between, description, and the description in lower case
// if that differs, with tabs between.

// searchSections splits a search file by bins: "id hash" to the lines.
func searchSections(file []byte) map[string][]byte {
	out := map[string][]byte{}
	for len(file) > 0 && file[0] == '#' {
		head, rest, ok := bytes.Cut(file[1:], []byte("\n"))
		if !ok {
			break
		}
		end := bytes.Index(rest, []byte("\n#")) + 1
		if end == 0 {
			end = len(rest)
		}
		if len(rest) > 0 && rest[0] == '#' { // a bin of no packages
			end = 0
		}
		out[string(head)] = rest[:end]
		file = rest[end:]
	}
	return out
}

// searchLines is what the search file says of a bin.
func (x *bin) searchLines() []byte {
	var b bytes.Buffer
	plain := strings.NewReplacer("\t", " ", "\n", " ", "\r", " ")
	for _, p := range x.Packages {
		h := p.hit()
		hooks := make([]string, len(h.Hooks))
		for i, k := range h.Hooks {
			hooks[i] = plain.Replace(string(k))
		}
		description := plain.Replace(h.Description)
		b.WriteString(h.Name + "\t" + h.Version + "\t" + strings.Join(hooks, " ") + "\t" + description)
		if lower := strings.ToLower(description); lower != description {
			b.WriteString("\t" + lower)
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func (p *Package) hit() Hit {
	best := p.Versions[len(p.Versions)-1]
	for _, v := range slices.Backward(p.Versions) {
		if sv, err := manifest.ParseVersion(v.Version); err == nil && !sv.Prerelease() && v.Yanked == "" {
			best = v
			break
		}
	}
	return Hit{Name: p.Name, Version: best.Version, Description: p.Description, Hooks: best.Requires.Hooks}
}

// search finds the packages in which every word occurs, those with it in the name
// first, and else in the order of names.
func search(file []byte, words []string) []Hit {
	lower := make([]string, len(words))
	raw := make([][]byte, len(words))
	for i, w := range words {
		lower[i] = strings.ToLower(w)
		raw[i] = []byte(lower[i])
	}
	type ranked struct {
		Hit
		rank int
	}
	var found []ranked
	// Most of the file is passed over in one go, by the longest word.
	var longest []byte
	for _, w := range raw {
		if len(w) > len(longest) {
			longest = w
		}
	}
next:
	for len(file) > 0 {
		at := bytes.Index(file, longest)
		if at < 0 {
			break
		}
		begin := bytes.LastIndexByte(file[:at], '\n') + 1
		end := len(file)
		if i := bytes.IndexByte(file[at:], '\n'); i >= 0 {
			end = at + i
		}
		line := file[begin:end]
		file = file[min(end+1, len(file)):]
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		for _, w := range raw {
			if !bytes.Contains(line, w) {
				continue next
			}
		}
		f := strings.Split(string(line), "\t")
		if len(f) < 4 {
			continue
		}
		h := Hit{Name: f[0], Version: f[1], Description: f[3]}
		for _, k := range strings.Fields(f[2]) {
			h.Hooks = append(h.Hooks, manifest.Hook(k))
		}
		rank := 0
		for _, w := range lower {
			switch {
			case h.Name == w:
			case strings.HasPrefix(h.Name, w):
				rank++
			case strings.Contains(h.Name, w):
				rank += 2
			case slices.Contains(h.Hooks, manifest.Hook(w)):
				rank += 3
			case strings.Contains(f[len(f)-1], w):
				rank += 4
			default:
				continue next
			}
		}
		found = append(found, ranked{h, rank})
	}
	slices.SortFunc(found, func(a, b ranked) int { return cmp.Or(a.rank-b.rank, strings.Compare(a.Name, b.Name)) })
	hits := make([]Hit, len(found))
	for i, f := range found {
		hits[i] = f.Hit
	}
	return hits
}
