// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"debug/dwarf"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Lines maps offsets in an extension's .text to its source, by the debug data that
// the toolchain splits off (DWARF 5, https://dwarfstd.org).
type Lines struct {
	data *dwarf.Data
}

// Position is a place in the source. Function is empty if it is not known.
type Position struct {
	Function string
	File     string
	Line     int
	Column   int
}

func (p Position) String() string {
	s := fmt.Sprintf("%s:%d", p.File, p.Line)
	if p.Column > 0 {
		s += fmt.Sprintf(":%d", p.Column)
	}
	if p.Function != "" {
		s += " (" + p.Function + ")"
	}
	return s
}

// ReadLines reads the debug data of a package.
func ReadLines(debug []byte) (l *Lines, err error) {
	// debug/elf and debug/dwarf are not made for hostile input.
	defer func() {
		if r := recover(); r != nil {
			l, err = nil, fmt.Errorf("debug data: %v", r)
		}
	}()
	f, err := elf.NewFile(bytes.NewReader(debug))
	if err != nil {
		return nil, fmt.Errorf("debug data: %w", err)
	}
	data, err := f.DWARF()
	if err != nil {
		return nil, fmt.Errorf("debug data: %w", err)
	}
	return &Lines{data}, nil
}

// At says what the instruction before `offset` belongs to, which is the address
// that a call returns to: the innermost place first, then where that was inlined.
func (l *Lines) At(offset uint64) (at []Position, err error) {
	defer func() {
		if r := recover(); r != nil {
			at, err = nil, fmt.Errorf("debug data: %v", r)
		}
	}()
	if offset == 0 {
		return nil, errors.New("no offset")
	}
	pc := offset - 1
	r := l.data.Reader()
	unit, err := r.SeekPC(pc)
	if err != nil {
		return nil, fmt.Errorf("nothing is known of +%#x: %w", offset, err)
	}
	lines, err := l.data.LineReader(unit)
	if err != nil || lines == nil {
		return nil, fmt.Errorf("no lines are known of +%#x", offset)
	}
	var e dwarf.LineEntry
	if err := lines.SeekPC(pc, &e); err != nil {
		return nil, fmt.Errorf("no line is known of +%#x: %w", offset, err)
	}
	chain, err := l.enclosing(r, pc)
	if err != nil {
		return nil, err
	}
	files := lines.Files()
	p := Position{File: e.File.Name, Line: e.Line, Column: e.Column}
	for i := len(chain) - 1; i >= 0; i-- {
		d := chain[i]
		p.Function = l.name(d)
		at = append(at, p)
		if d.Tag != dwarf.TagInlinedSubroutine {
			return at, nil
		}
		p = Position{}
		if n, ok := d.Val(dwarf.AttrCallFile).(int64); ok && n >= 0 && n < int64(len(files)) && files[n] != nil {
			p.File = files[n].Name
		}
		line, _ := d.Val(dwarf.AttrCallLine).(int64)
		column, _ := d.Val(dwarf.AttrCallColumn).(int64)
		p.Line, p.Column = int(line), int(column)
	}
	return append(at, p), nil
}

// enclosing lists the functions of the unit that have pc, the outermost first:
// one that was compiled, then those inlined.
func (l *Lines) enclosing(r *dwarf.Reader, pc uint64) ([]*dwarf.Entry, error) {
	var chain []*dwarf.Entry
	for depth := 1; depth > 0; {
		d, err := r.Next()
		if err == io.EOF || d == nil && err == nil {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("debug data: %w", err)
		}
		if d.Tag == 0 {
			depth--
			continue
		}
		if d.Tag == dwarf.TagSubprogram || d.Tag == dwarf.TagInlinedSubroutine || d.Tag == dwarf.TagLexDwarfBlock {
			ranges, err := l.data.Ranges(d)
			if err != nil {
				return nil, fmt.Errorf("debug data: %w", err)
			}
			inside := false
			for _, x := range ranges {
				inside = inside || x[0] <= pc && pc < x[1]
			}
			// A namespace has no range of its own; a function that is elsewhere has nothing inside.
			if !inside {
				if d.Children {
					r.SkipChildren()
				}
				continue
			}
			if d.Tag != dwarf.TagLexDwarfBlock {
				chain = append(chain, d)
			}
		}
		if d.Children {
			depth++
		}
	}
	return chain, nil
}

// name of a function, wherever it is said.
func (l *Lines) name(d *dwarf.Entry) string {
	for range 4 {
		if s, ok := d.Val(dwarf.AttrName).(string); ok {
			return s
		}
		to, ok := d.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset)
		if !ok {
			if to, ok = d.Val(dwarf.AttrSpecification).(dwarf.Offset); !ok {
				return ""
			}
		}
		r := l.data.Reader()
		r.Seek(to)
		next, err := r.Next()
		if err != nil || next == nil {
			return ""
		}
		d = next
	}
	return ""
}

// Own is the innermost place of At that is the author's, neither of core nor of
// the crate iu; not ok if there is none.
func (l *Lines) Own(offset uint64) (Position, bool) {
	at, err := l.At(offset)
	if err != nil {
		return Position{}, false
	}
	for _, p := range at {
		// Files are named by crate: "NAME/src/…", "NAME/library/core/…", "NAME/iu-VERSION/src/…".
		_, path, ok := strings.Cut(p.File, "/")
		if !ok || p.Line == 0 || strings.HasPrefix(p.File, "library/") || strings.HasPrefix(path, "library/") ||
			strings.HasPrefix(p.File, "iu-") || strings.HasPrefix(path, "iu-") {
			continue
		}
		if !strings.HasPrefix(p.File, "src/") {
			p.File = path
		}
		return p, true
	}
	return Position{}, false
}
