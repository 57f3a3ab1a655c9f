// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// ProjectFile is the name of the project file in the folder of an extension.
const ProjectFile = "iupkg.toml"

// Project is the content of iupkg.toml. Lists are in the order of the file.
type Project struct {
	Package      ProjectPackage
	Kernel       ProjectKernel
	Dependencies map[string]string
	Conflicts    map[string]string
	Provides     map[string]string
	Features     map[string]Relations
	Params       []ProjectParam
	Programs     []ProjectProgram
	Maps         []ProjectMap
	SelfTests    []SelfTest
	Variants     []Variant
}

// ProjectMap is [map.NAME]: what the source does not say of a map.
type ProjectMap struct {
	Name     string
	Migrate  Migration
	Counters []string
	Entries  string
}

// ProjectPackage is [package].
type ProjectPackage struct {
	Name        string `toml:"name"`
	Version     string `toml:"version"`
	Description string `toml:"description"`
	License     string `toml:"license"`
	Repository  string `toml:"repository"`
}

// ProjectKernel is [kernel]. BTF and Symbols are added to what the build derives.
type ProjectKernel struct {
	Release string   `toml:"release"`
	Config  []string `toml:"config"`
	BTF     []string `toml:"btf"`
	Symbols []string `toml:"symbols"`
}

// ProjectParam is [params.NAME]. What is empty comes from the object, if the
// object has a parameter of that name.
type ProjectParam struct {
	Name    string
	Type    ParamType // empty: the object's
	Default string    // as Param.Default
	Min     string
	Max     string
	Doc     string
}

// ProjectProgram is [program.NAME].
type ProjectProgram struct {
	Name      string
	Hook      Hook
	Attach    map[string]string
	OnFault   string // empty: the object's
	MaxFaults uint32
}

// Variant is one [[variant]]: a condition of the kernel's configuration that the
// source asks for as cfg(kconfig = "…"). An object is built with it or without.
type Variant struct {
	When string `toml:"when"`
}

// projectFile mirrors the file.
type projectFile struct {
	Package      ProjectPackage            `toml:"package"`
	Kernel       ProjectKernel             `toml:"kernel"`
	Dependencies map[string]string         `toml:"dependencies"`
	Conflicts    map[string]string         `toml:"conflicts"`
	Provides     map[string]string         `toml:"provides"`
	Features     map[string]Relations      `toml:"features"`
	Params       map[string]projectParam   `toml:"params"`
	Program      map[string]projectProgram `toml:"program"`
	Map          map[string]projectMap     `toml:"map"`
	SelfTest     []SelfTest                `toml:"selftest"`
	Variant      []Variant                 `toml:"variant"`
}

type projectMap struct {
	Migrate  Migration `toml:"migrate"`
	Counters []string  `toml:"counters"`
	Entries  string    `toml:"entries"`
}

type projectParam struct {
	Type    string `toml:"type"`
	Default any    `toml:"default"`
	Range   []any  `toml:"range"`
	Doc     string `toml:"doc"`
}

type projectProgram struct {
	Hook      Hook              `toml:"hook"`
	Attach    map[string]string `toml:"attach"`
	OnFault   string            `toml:"on-fault"`
	MaxFaults uint32            `toml:"max-faults"`
}

// ParseProject reads a project file and checks it. Errors are one or more
// SyntaxErrors.
func ParseProject(b []byte) (*Project, error) {
	if len(b) > MaxProject {
		return nil, &SyntaxError{File: ProjectFile, Line: 1, Column: 1,
			Msg: fmt.Sprintf("has %d bytes, at most %d are allowed", len(b), MaxProject)}
	}
	at, err := tomlPositions(b)
	if err != nil {
		return nil, err
	}
	var f projectFile
	if err := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields().Decode(&f); err != nil {
		return nil, TOMLError(ProjectFile, err)
	}
	p, probs := f.project(at)
	if err := probs.err(); err != nil {
		return nil, locate(err, ProjectFile, at)
	}
	return p, nil
}

// How the decoder words a value of the wrong type.
var tomlType = regexp.MustCompile(`^cannot decode TOML (.*?) into (?:struct field \S+ of type |a Go value of type )?(.+)$`)

// tomlWords is what the decoder says, without its names of Go's types.
func tomlWords(text string) string {
	m := tomlType.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	want := m[2]
	switch {
	case strings.HasPrefix(want, "[]"):
		want = "list"
	case strings.HasPrefix(want, "map[") || strings.Contains(want, "."):
		want = "table"
	}
	return fmt.Sprintf("want a %s and found a TOML %s", want, m[1])
}

// TOMLError words what the decoder has against a file: file, line and column, as a
// SyntaxError has them.
func TOMLError(file string, err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		var list []error
		for i := range strict.Errors {
			e := &strict.Errors[i]
			row, col := e.Position()
			list = append(list, &SyntaxError{File: file, Line: row, Column: col, Field: strings.Join(e.Key(), "."), Msg: "unknown key" + keyHint(e.Key())})
		}
		return errors.Join(list...)
	}
	var de *toml.DecodeError
	if errors.As(err, &de) {
		row, col := de.Position()
		return &SyntaxError{File: file, Line: row, Column: col, Field: strings.Join(de.Key(), "."),
			Msg: tomlWords(strings.TrimPrefix(de.Error(), "toml: "))}
	}
	return &SyntaxError{File: file, Line: 1, Column: 1, Msg: strings.TrimPrefix(err.Error(), "toml: ")}
}

// keyHint helps with keys that stand in the wrong place.
func keyHint(key []string) string {
	if len(key) != 3 || key[0] != "program" {
		return ""
	}
	for _, h := range Hooks() {
		for _, a := range hookSpecs[h].attach {
			if a.name == key[2] {
				return ": write attach = { " + a.name + " = … }"
			}
		}
	}
	return ""
}

// project checks and orders what the file has.
func (f *projectFile) project(at map[string]Position) (*Project, problems) {
	p := &Project{Package: f.Package, Kernel: f.Kernel, Dependencies: f.Dependencies, Conflicts: f.Conflicts,
		Provides: f.Provides, Features: f.Features, Variants: f.Variant}
	var probs problems
	k := f.Package
	if _, ok := at["package"]; !ok {
		probs.addf("package", "is missing")
		return p, probs
	}
	checkPackage(&probs, "package.", k.Name, k.Version, k.Description, k.License, k.Repository)
	checkKernel(&probs, "kernel.", f.Kernel.Release, f.Kernel.Config, f.Kernel.BTF, f.Kernel.Symbols)
	checkRelations(&probs, k.Name, "dependencies", f.Dependencies)
	checkRelations(&probs, k.Name, "conflicts", f.Conflicts)
	checkOffers(&probs, k.Name, f.Provides, f.Features)

	if len(f.Params) > MaxParams {
		probs.addf("params", "has %d entries, at most %d are allowed", len(f.Params), MaxParams)
	}
	for _, name := range fileOrder(f.Params, "params.", at) {
		p.Params = append(p.Params, f.Params[name].param(&probs, name))
	}
	if n := len(f.Program); n == 0 || n > MaxPrograms {
		probs.addf("program", "has %d entries: want 1 to %d", n, MaxPrograms)
	}
	isParam := func(name string) bool { _, ok := f.Params[name]; return ok }
	for _, name := range fileOrder(f.Program, "program.", at) {
		q := f.Program[name]
		field := "program." + name
		probs.add(field, CheckIdent(name))
		p.Programs = append(p.Programs, ProjectProgram{name, q.Hook, q.Attach, q.OnFault, q.MaxFaults})
		if q.Hook == "" {
			probs.addf(field+".hook", "is missing: there are %s", hookNames())
			continue
		}
		if err := checkHook(q.Hook); err != nil {
			probs.add(field+".hook", err)
			continue
		}
		probs.add(field+".attach", q.Hook.checkAttach(q.Attach, isParam))
		if q.OnFault != "" {
			probs.add(field+".on-fault", checkVerdict(q.Hook, q.OnFault))
		}
	}
	if len(f.Map) > MaxMaps {
		probs.addf("map", "has %d entries, at most %d are allowed", len(f.Map), MaxMaps)
	}
	for _, name := range fileOrder(f.Map, "map.", at) {
		probs.add("map."+name, CheckIdent(name))
		probs.add("map."+name+".migrate", checkMigration(f.Map[name].Migrate))
		probs.add("map."+name+".counters", checkCounters(f.Map[name].Counters))
		if by := f.Map[name].Entries; by != "" && !isParam(by) {
			probs.addf("map."+name+".entries", "%.40q is no parameter", by)
		}
		p.Maps = append(p.Maps, ProjectMap{name, f.Map[name].Migrate, f.Map[name].Counters, f.Map[name].Entries})
	}
	checkSelfTests(&probs, "selftest", f.SelfTest, func(program string) (Hook, bool) {
		q, ok := f.Program[program]
		return q.Hook, ok
	})
	p.SelfTests = f.SelfTest
	for i, v := range f.Variant {
		field := fmt.Sprintf("variant[%d].when", i)
		if v.When == "" {
			probs.addf(field, "is missing")
			continue
		}
		_, err := ParseConfigExpr(v.When)
		probs.add(field, err)
	}
	return p, probs
}

// fileOrder sorts the keys of a table by where they stand.
func fileOrder[V any](m map[string]V, prefix string, at map[string]Position) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		p, q := at[prefix+a], at[prefix+b]
		return cmp.Or(cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column), cmp.Compare(a, b))
	})
	return keys
}

// The types that a project file may name; those that the object ABI does not
// have are ranges of one it has.
var projectTypes = map[string]struct {
	t        ParamType
	min, max string
}{
	"":       {},
	"bool":   {t: ParamBool},
	"string": {t: ParamString},
	"u8":     {ParamU64, "0", "255"},
	"u16":    {ParamU64, "0", "65535"},
	"u32":    {ParamU64, "0", "4294967295"},
	"u64":    {t: ParamU64},
	"i8":     {ParamI64, "-128", "127"},
	"i16":    {ParamI64, "-32768", "32767"},
	"i32":    {ParamI64, "-2147483648", "2147483647"},
	"i64":    {t: ParamI64},
}

func (f projectParam) param(probs *problems, name string) ProjectParam {
	field := "params." + name
	q := ProjectParam{Name: name, Doc: f.Doc}
	t, ok := projectTypes[f.Type]
	if !ok {
		probs.addf(field+".type", "%.20q is not a type: bool, u8 to u64, i8 to i64 or string", f.Type)
		return q
	}
	q.Type, q.Min, q.Max = t.t, t.min, t.max
	scalar := func(key string, v any) string {
		switch v := v.(type) {
		case nil:
			return ""
		case string:
			if v == "" {
				probs.addf(field+"."+key, "is empty: leave it out if it must be given")
			}
			return v
		case bool:
			return strconv.FormatBool(v)
		case int64:
			return strconv.FormatInt(v, 10)
		}
		probs.addf(field+"."+key, "want a whole number, a string, true or false")
		return ""
	}
	q.Default = scalar("default", f.Default)
	switch len(f.Range) {
	case 0:
		if f.Range != nil {
			probs.addf(field+".range", "want [LEAST, GREATEST]")
		}
	case 2:
		lo, hi := scalar("range", f.Range[0]), scalar("range", f.Range[1])
		bare := Param{Name: name, Type: q.Type}
		if q.Min != "" && bare.Check(lo) == nil && bare.Check(hi) == nil && (bare.less(lo, q.Min) || bare.less(q.Max, hi)) {
			probs.addf(field+".range", "does not fit into %s", f.Type)
		}
		q.Min, q.Max = lo, hi
	default:
		probs.addf(field+".range", "want [LEAST, GREATEST]")
	}
	if q.Type == "" {
		probs.add(field, CheckIdent(name))
		probs.add(field+".doc", checkText(q.Doc, MaxText))
		return q
	}
	full := Param{Name: name, Type: q.Type, Default: q.Default, Min: q.Min, Max: q.Max, Doc: q.Doc}
	full.validate(probs, field)
	return q
}
