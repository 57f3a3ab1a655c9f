// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"errors"
	"strconv"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// maxTOMLDepth bounds how deep values nest, as the parser of go-toml recurses.
const maxTOMLDepth = 16

// tomlPositions returns where each key and each element of a list stands. The
// decoder of go-toml tells that only of mistakes that it finds itself.
func tomlPositions(b []byte) (map[string]Position, error) {
	if off, ok := tooDeep(b); ok {
		pos := positionAt(b, off)
		return nil, &SyntaxError{File: ProjectFile, Line: pos.Line, Column: pos.Column, Msg: "nests too deep"}
	}
	w := tomlWalker{lines: lineCounter{b: b}, at: map[string]Position{}, tables: map[string]int{}}
	w.p.Reset(b)
	for w.p.NextExpression() {
		switch e := w.p.Expression(); e.Kind {
		case unstable.Table:
			w.prefix = w.key(e.Key(), "")
		case unstable.ArrayTable:
			name := w.key(e.Key(), "")
			w.prefix = name + "[" + strconv.Itoa(w.tables[name]) + "]"
			w.tables[name]++
			w.set(w.prefix, w.at[name])
		case unstable.KeyValue:
			w.pair(e, w.prefix)
		}
	}
	if err := w.p.Error(); err != nil {
		var pe *unstable.ParserError
		if errors.As(err, &pe) {
			// The decoder words the same mistake with its place.
			var v map[string]any
			if derr := toml.Unmarshal(b, &v); derr != nil {
				return nil, TOMLError(ProjectFile, derr)
			}
		}
		return nil, TOMLError(ProjectFile, err)
	}
	return w.at, nil
}

// tooDeep finds brackets that nest deeper than any project file has a use for.
// It counts those in strings and comments too, which must not be that many on
// one line either.
func tooDeep(b []byte) (int, bool) {
	depth := 0
	for i, c := range b {
		switch c {
		case '[', '{':
			if depth++; depth > maxTOMLDepth {
				return i, true
			}
		case ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return 0, false
}

type tomlWalker struct {
	p      unstable.Parser
	lines  lineCounter
	at     map[string]Position
	tables map[string]int // how many [[name]] there were
	prefix string
}

func (w *tomlWalker) set(path string, pos Position) {
	if _, ok := w.at[path]; !ok {
		w.at[path] = pos
	}
}

// key joins a dotted key to prefix and notes where its parts stand.
func (w *tomlWalker) key(it unstable.Iterator, prefix string) string {
	for it.Next() {
		n := it.Node()
		if prefix != "" {
			prefix += "."
		}
		prefix += string(n.Data)
		w.set(prefix, w.lines.at(int(n.Raw.Offset)))
	}
	return prefix
}

func (w *tomlWalker) pair(n *unstable.Node, prefix string) {
	w.value(n.Value(), w.key(n.Key(), prefix))
}

func (w *tomlWalker) value(v *unstable.Node, path string) {
	switch v.Kind {
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			w.pair(it.Node(), path)
		}
	case unstable.Array:
		i := 0
		for it := v.Children(); it.Next(); i++ {
			sub := path + "[" + strconv.Itoa(i) + "]"
			if n := it.Node(); n.Raw.Length > 0 {
				w.set(sub, w.lines.at(int(n.Raw.Offset)))
			}
			w.value(it.Node(), sub)
		}
	}
}
