// SPDX-License-Identifier: Apache-2.0

package index

import (
	"bytes"
	"cmp"
	"container/heap"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

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
// version, hooks with spaces between, description in lower case, and what it takes to
// have its capitals back (see fold), with tabs between.

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
		lower, capitals := fold(plain.Replace(h.Description))
		b.WriteString(strings.Join([]string{h.Name, h.Version, strings.Join(hooks, " "), lower, capitals}, "\t"))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// fold gives a text in lower case, and its capitals: their places, as numbers with
// spaces between, or, if they are not all of ASCII, '=' and the text.
func fold(text string) (lower, capitals string) {
	lower = strings.ToLower(text)
	if lower == text {
		return lower, ""
	}
	var places []byte
	for i := range len(text) {
		switch c := text[i]; {
		case c >= utf8.RuneSelf:
			return lower, "=" + text
		case 'A' <= c && c <= 'Z':
			places = append(strconv.AppendInt(places, int64(i), 10), ' ')
		}
	}
	return lower, string(places[:len(places)-1])
}

func unfold(lower, capitals string) string {
	if text, ok := strings.CutPrefix(capitals, "="); ok {
		return text
	}
	text := []byte(lower)
	for place := range strings.FieldsSeq(capitals) {
		if i, err := strconv.Atoi(place); err == nil && 0 <= i && i < len(text) {
			text[i] = byte(unicode.ToUpper(rune(text[i])))
		}
	}
	return string(text)
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

// A match is a line in which every word occurs.
type match struct {
	rank int
	line []byte
}

// compare is the order of what is found: those with the words in the name first, and
// else in the order of names.
func (m match) compare(o match) int {
	return cmp.Or(m.rank-o.rank, bytes.Compare(nameOf(m.line), nameOf(o.line)))
}

func nameOf(line []byte) []byte {
	name, _, _ := bytes.Cut(line, []byte("\t"))
	return name
}

// best keeps the first of what is found, the last of them on top, so that a hundred
// thousand matches cost little more than looking at them.
type best []match

func (b best) Len() int           { return len(b) }
func (b best) Less(i, j int) bool { return b[i].compare(b[j]) > 0 }
func (b best) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }
func (b *best) Push(x any)        { *b = append(*b, x.(match)) }
func (b *best) Pop() any {
	last := (*b)[len(*b)-1]
	*b = (*b)[:len(*b)-1]
	return last
}

// search finds the packages in which every word occurs, and returns the first limit
// of them, all if it is negative, and how many there are.
func search(file []byte, words []string, limit int) ([]Hit, int) {
	raw := make([][]byte, len(words))
	var longest []byte
	for i, w := range words {
		raw[i] = []byte(strings.ToLower(w))
		if len(raw[i]) > len(longest) {
			longest = raw[i]
		}
	}
	var found best
	total := 0
	for len(file) > 0 {
		// Most of the file is passed over in one go, by the longest word.
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
		rank, ok := rankOf(line, raw)
		if !ok {
			continue
		}
		total++
		m := match{rank, line}
		switch {
		case limit < 0 || len(found) < limit:
			heap.Push(&found, m)
		case limit > 0 && m.compare(found[0]) < 0:
			found[0] = m
			heap.Fix(&found, 0)
		}
	}
	slices.SortFunc(found, match.compare)
	hits := make([]Hit, len(found))
	for i, m := range found {
		f := strings.Split(string(m.line), "\t")
		hits[i] = Hit{Name: f[0], Version: f[1], Description: unfold(f[3], f[4])}
		for _, k := range strings.Fields(f[2]) {
			hits[i].Hooks = append(hits[i].Hooks, manifest.Hook(k))
		}
	}
	return hits, total
}

// rankOf says whether every word occurs in what a line says of a package, and how far
// from the name; the words are in lower case.
func rankOf(line []byte, words [][]byte) (rank int, ok bool) {
	if len(line) == 0 || line[0] == '#' {
		return 0, false
	}
	name, rest, ok1 := bytes.Cut(line, []byte("\t"))
	_, rest, ok2 := bytes.Cut(rest, []byte("\t")) // the version
	hooks, rest, ok3 := bytes.Cut(rest, []byte("\t"))
	description, _, ok4 := bytes.Cut(rest, []byte("\t"))
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return 0, false
	}
	for _, w := range words {
		at := bytes.Index(name, w)
		switch {
		case at == 0 && len(w) == len(name):
		case at == 0:
			rank++
		case at > 0:
			rank += 2
		case hasField(hooks, w):
			rank += 3
		case bytes.Contains(description, w):
			rank += 4
		default:
			return 0, false
		}
	}
	return rank, true
}

func hasField(list, want []byte) bool {
	for f := range bytes.FieldsSeq(list) {
		if bytes.Equal(f, want) {
			return true
		}
	}
	return false
}
