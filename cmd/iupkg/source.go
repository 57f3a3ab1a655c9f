// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/kernel"
)

// sources maps offsets of installed extensions to their source, by the debug
// data that came with the package. What cannot be mapped is left as it is: the
// data is for reading and nothing hangs on it.
type sources struct {
	root  *install.Root
	pkgs  *install.Generation      // nil: not read, or unreadable
	lines map[string]*kernel.Lines // by name; nil: none
	live  map[string]string        // version that the log last said was loaded, by name
}

func (a *app) newSources() *sources {
	s := &sources{root: a.root(), lines: map[string]*kernel.Lines{}, live: map[string]string{}}
	s.pkgs, _ = s.root.Current()
	return s
}

// of returns the debug data of what is installed under a name.
func (s *sources) of(name string) *kernel.Lines {
	if l, known := s.lines[name]; known {
		return l
	}
	s.lines[name] = nil
	if s.pkgs == nil {
		return nil
	}
	p := s.pkgs.Find(name)
	if p == nil || p.Debug == "" {
		return nil
	}
	debug, err := s.root.Store.Get(p.Debug)
	if err != nil {
		return nil
	}
	s.lines[name], _ = kernel.ReadLines(debug)
	return s.lines[name]
}

// at is where in the source of `name` an offset is, "" if it is not known.
func (s *sources) at(name string, offset uint64) string {
	l := s.of(name)
	if l == nil {
		return ""
	}
	if p, ok := l.Own(offset); ok {
		return p.String()
	}
	return ""
}

// chain is where the calls of a fault are, the innermost first. Calls without a
// line of the author's are left out, and so is one that repeats.
func (s *sources) chain(name string, offsets []uint64) []string {
	var out []string
	for _, o := range offsets {
		if at := s.at(name, o); at != "" && (len(out) == 0 || out[len(out)-1] != at) {
			out = append(out, at)
		}
	}
	return out
}

// loaded notes that the log says so of a version.
func (s *sources) loaded(l *logLine) {
	version, text, ok := strings.Cut(l.Text, ": ")
	if ok && l.Name != "" && l.Program == "" && strings.HasPrefix(text, "loaded as ") {
		s.live[l.Name] = version
	}
}

var offsetText = regexp.MustCompile(`\+0x[0-9a-f]+\b`)

// ofLine is where the offsets in a line of the log are; none if it is of another
// version than the one installed.
func (s *sources) ofLine(l *logLine) []string {
	if l.Program == "" || s.pkgs == nil {
		return nil
	}
	p := s.pkgs.Find(l.Name)
	if v, known := s.live[l.Name]; p == nil || known && v != p.Version {
		return nil
	}
	var offsets []uint64
	for _, t := range offsetText.FindAllString(l.Text, -1) {
		if o, err := strconv.ParseUint(t[3:], 16, 32); err == nil {
			offsets = append(offsets, o)
		}
	}
	return s.chain(l.Name, offsets)
}
