// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	archPattern    = regexp.MustCompile(`^[a-z][a-z0-9]{1,15}$`)
	licensePattern = regexp.MustCompile(`^[A-Za-z0-9.+()-]+( [A-Za-z0-9.+()-]+)*$`)
)

// Validate checks everything that the package comment states, and returns all
// that is wrong: a FieldError, or several joined.
func (m *Manifest) Validate() error {
	var p problems
	if m.Schema != Schema {
		p.addf("schema", "is %d: this program reads manifests of schema %d", m.Schema, Schema)
		return p.err()
	}
	checkPackage(&p, "", m.Name, m.Version, m.Description, m.License, m.Repository)
	if !archPattern.MatchString(m.Arch) {
		p.addf("arch", "%.20q is not an architecture: amd64, arm64, …", m.Arch)
	}
	p.add("object.digest", CheckDigest(m.Object.Digest))
	if m.Object.Size <= 0 || m.Object.Size > MaxObject {
		p.addf("object.size", "is %d bytes: want 1 to %d", m.Object.Size, MaxObject)
	}
	if a := m.Requires.Arch; a != "" && a != m.Arch {
		p.addf("requires.arch", "is %.20q but the object is for %.20q", a, m.Arch)
	}
	m.Requires.validate(&p, m.Programs)
	checkRelations(&p, m.Name, "dependencies", m.Dependencies)
	checkRelations(&p, m.Name, "conflicts", m.Conflicts)
	checkOffers(&p, m.Name, m.Provides, m.Features)
	isParam := m.validateParams(&p)
	m.validatePrograms(&p, isParam)
	m.validateMaps(&p)
	checkSelfTests(&p, "selftests", m.SelfTests, m.hookOf)
	for _, t := range [][2]string{{"rustc", m.Toolchain.Rustc}, {"llvm", m.Toolchain.LLVM}, {"iu", m.Toolchain.IU}} {
		p.add("toolchain."+t[0], checkText(t[1], 256))
	}
	if m.Toolchain.Pass != "" {
		p.add("toolchain.pass", CheckDigest(m.Toolchain.Pass))
	}
	return p.err()
}

func checkPackage(p *problems, prefix, name, version, description, license, repository string) {
	p.add(prefix+"name", CheckName(name))
	_, err := ParseVersion(version)
	p.add(prefix+"version", err)
	p.add(prefix+"description", checkText(description, MaxText))
	switch {
	case license == "":
		p.addf(prefix+"license", "is missing: an SPDX expression such as GPL-2.0-only")
	case len(license) > 128 || !licensePattern.MatchString(license):
		p.addf(prefix+"license", "%.140q is not an SPDX expression", license)
	}
	if repository != "" {
		p.add(prefix+"repository", checkURL(repository))
	}
}

func checkURL(s string) error {
	if err := checkText(s, MaxText); err != nil {
		return err
	}
	if u, err := url.Parse(s); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return fmt.Errorf("%q is not an http or https address", s)
	}
	return nil
}

func checkRelations(p *problems, self, field string, list map[string]string) {
	if len(list) > MaxDependencies {
		p.addf(field, "has %d entries, at most %d are allowed", len(list), MaxDependencies)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(list)) {
		f := field + "." + name
		base, feature, err := SplitFeature(name)
		if err == nil && feature != "" && field == "conflicts" {
			err = fmt.Errorf("%q: a conflict is with a package, not with a feature", name)
		}
		if err != nil {
			p.add(field, err)
			continue
		}
		if base == self && !(feature != "" && strings.HasPrefix(field, "features.")) {
			p.addf(f, "is the package itself")
		}
		if list[name] == "" {
			p.addf(f, `is empty: "*" is any version`)
			continue
		}
		_, err = ParseConstraint(list[name])
		p.add(f, err)
	}
}

// checkOffers checks what a version provides and its features.
func checkOffers(p *problems, self string, provides map[string]string, features map[string]Relations) {
	if len(provides) > MaxProvides {
		p.addf("provides", "has %d entries, at most %d are allowed", len(provides), MaxProvides)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(provides)) {
		if err := CheckName(name); err != nil {
			p.add("provides", err)
			continue
		}
		if name == self {
			p.addf("provides."+name, "is the package itself")
		}
		_, err := ParseVersion(provides[name])
		p.add("provides."+name, err)
	}
	if len(features) > MaxFeatures {
		p.addf("features", "has %d entries, at most %d are allowed", len(features), MaxFeatures)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(features)) {
		if err := CheckName(name); err != nil {
			p.addf("features", "%q is not a feature: it is named as packages are", name)
			continue
		}
		checkRelations(p, self, "features."+name, features[name])
	}
}

func (r *Requirements) validate(p *problems, programs []Program) {
	checkKernel(p, "requires.", r.Release, r.Config, r.BTF, r.Symbols)
	if r.ABI < 1 || r.ABI > 1<<16 {
		p.addf("requires.abi", "is %d: want at least 1", r.ABI)
	}
	var used []Hook
	for _, prog := range programs {
		if !slices.Contains(used, prog.Hook) {
			used = append(used, prog.Hook)
		}
	}
	for i, h := range r.Hooks {
		f := fmt.Sprintf("requires.hooks[%d]", i)
		p.add(f, checkHook(h))
		if slices.Index(r.Hooks, h) < i {
			p.addf(f, "%s stands twice", h)
		}
	}
	if !slices.Equal(slices.Sorted(slices.Values(used)), slices.Sorted(slices.Values(r.Hooks))) {
		p.addf("requires.hooks", "are %v but the programs use %v", r.Hooks, used)
	}
}

func checkKernel(p *problems, prefix, release string, config, btf, symbols []string) {
	if len(release) > MaxConstraint {
		p.addf(prefix+"release", "has %d bytes, at most %d are allowed", len(release), MaxConstraint)
	} else {
		_, err := ParseReleaseRange(release)
		p.add(prefix+"release", err)
	}
	if len(config) > MaxConfigExprs {
		p.addf(prefix+"config", "has %d expressions, at most %d are allowed", len(config), MaxConfigExprs)
	} else {
		for i, s := range config {
			_, err := ParseConfigExpr(s)
			p.add(fmt.Sprintf("%sconfig[%d]", prefix, i), err)
		}
	}
	if len(btf) > MaxBTFReqs {
		p.addf(prefix+"btf", "has %d entries, at most %d are allowed", len(btf), MaxBTFReqs)
	} else {
		for i, s := range btf {
			_, err := ParseBTFReq(s)
			p.add(fmt.Sprintf("%sbtf[%d]", prefix, i), err)
		}
	}
	if len(symbols) > MaxBTFReqs {
		p.addf(prefix+"symbols", "has %d entries, at most %d are allowed", len(symbols), MaxBTFReqs)
	} else {
		for i, s := range symbols {
			p.add(fmt.Sprintf("%ssymbols[%d]", prefix, i), checkSymbol(s))
		}
	}
}

// checkSymbol: names of C, and of what compilers make of them.
func checkSymbol(s string) error {
	bad := func(r rune) bool { return r > 0x7f || r != '.' && !isIdentByte(byte(r)) }
	if s == "" || len(s) > MaxSymbol || s[0] >= '0' && s[0] <= '9' || strings.IndexFunc(s, bad) >= 0 {
		return fmt.Errorf("%.60q is not a symbol of the kernel", s)
	}
	return nil
}

func (m *Manifest) validateParams(p *problems) (isParam func(string) bool) {
	isParam = func(name string) bool {
		return slices.ContainsFunc(m.Params, func(q Param) bool { return q.Name == name })
	}
	if len(m.Params) > MaxParams {
		p.addf("params", "has %d entries, at most %d are allowed", len(m.Params), MaxParams)
		return isParam
	}
	object := 0
	for i, q := range m.Params {
		f := fmt.Sprintf("params[%d]", i)
		q.validate(p, f)
		if slices.IndexFunc(m.Params, func(o Param) bool { return o.Name == q.Name }) < i {
			p.addf(f+".name", "%q stands twice", q.Name)
		}
		if q.Object == nil {
			continue
		}
		if *q.Object != object || i != object {
			p.addf(f+".object", "is %d: the object's parameters come first, in the order of its table", *q.Object)
		}
		object++
		if object > MaxObjectParams {
			p.addf(f+".object", "an object has at most %d parameters", MaxObjectParams)
		}
	}
	return isParam
}

func (m *Manifest) validatePrograms(p *problems, isParam func(string) bool) {
	if n := len(m.Programs); n == 0 || n > MaxPrograms {
		p.addf("programs", "has %d entries: want 1 to %d", n, MaxPrograms)
		return
	}
	for i, q := range m.Programs {
		f := fmt.Sprintf("programs[%d]", i)
		p.add(f+".name", CheckIdent(q.Name))
		if slices.IndexFunc(m.Programs, func(o Program) bool { return o.Name == q.Name }) < i {
			p.addf(f+".name", "%q stands twice", q.Name)
		}
		if err := checkHook(q.Hook); err != nil {
			p.add(f+".hook", err)
			continue
		}
		p.add(f+".attach", q.Hook.checkAttach(q.Attach, isParam))
		p.add(f+".onFault", checkVerdict(q.Hook, q.OnFault))
	}
}

func checkVerdict(h Hook, name string) error {
	if _, ok := h.Verdict(name); !ok {
		return fmt.Errorf("%.20q is no verdict of %s: there are %s", name, h, strings.Join(h.Verdicts(), ", "))
	}
	return nil
}

func (m *Manifest) validateMaps(p *problems) {
	if len(m.Maps) > MaxMaps {
		p.addf("maps", "has %d entries, at most %d are allowed", len(m.Maps), MaxMaps)
		return
	}
	for i, q := range m.Maps {
		f := fmt.Sprintf("maps[%d]", i)
		p.add(f+".name", CheckIdent(q.Name))
		if slices.IndexFunc(m.Maps, func(o Map) bool { return o.Name == q.Name }) < i {
			p.addf(f+".name", "%q stands twice", q.Name)
		}
		if q.Type == 0 {
			p.addf(f+".type", "is 0, which is no map")
		}
		p.add(f+".migrate", checkMigration(q.Migrate))
		p.add(f+".entries", m.checkEntries(&q))
		p.add(f+".counters", checkCounters(q.Counters))
		if n := len(q.Counters); n > 0 && (q.Type != mapArray && q.Type != mapPerCPUArray || q.ValueSize != 8 || n > int(q.MaxEntries)) {
			p.addf(f+".counters", "names %d values, but the map is no array of so many numbers of 64 bits", n)
		}
	}
}

// checkEntries says what is wrong with the parameter that gives a map its size.
func (m *Manifest) checkEntries(q *Map) error {
	if q.Entries == "" {
		return nil
	}
	i := slices.IndexFunc(m.Params, func(p Param) bool { return p.Name == q.Entries })
	if i < 0 {
		return fmt.Errorf("%.40q is no parameter", q.Entries)
	}
	p := &m.Params[i]
	most := Param{Name: p.Name, Type: ParamU64, Min: "1", Max: strconv.FormatUint(uint64(q.MaxEntries), 10)}
	if p.Type != ParamU64 || p.Min == "" || p.Max == "" || most.Check(p.Min) != nil || most.Check(p.Max) != nil {
		return fmt.Errorf("parameter %s has to be a u64 with a range within 1 to %d", p.Name, q.MaxEntries)
	}
	return nil
}

// Of enum bpf_map_type.
const (
	mapArray       = 2
	mapPerCPUArray = 6
)

// MaxCounters is the most values of a map that have names.
const MaxCounters = 64

func checkCounters(names []string) error {
	if len(names) > MaxCounters {
		return fmt.Errorf("has %d names, at most %d are allowed", len(names), MaxCounters)
	}
	for i, name := range names {
		if err := CheckIdent(name); err != nil {
			return err
		}
		if slices.Index(names, name) < i {
			return fmt.Errorf("%q stands twice", name)
		}
	}
	return nil
}

// validate checks one parameter by itself.
func (q *Param) validate(p *problems, f string) {
	p.add(f+".name", CheckIdent(q.Name))
	p.add(f+".doc", checkText(q.Doc, MaxText))
	switch q.Type {
	case ParamBool, ParamString:
		if q.Min != "" || q.Max != "" {
			p.addf(f, "a %s has no range", q.Type)
		}
		if q.Type == ParamString && q.Object != nil {
			p.addf(f+".object", "a string is for attachments only, an object cannot have it")
		}
	case ParamU64, ParamI64:
		bare := Param{Name: q.Name, Type: q.Type}
		lo, hi := q.Min, q.Max
		for _, b := range []struct{ name, val string }{{"min", lo}, {"max", hi}} {
			if b.val == "" {
				continue
			}
			if err := bare.Check(b.val); err != nil {
				p.add(f+"."+b.name, err)
				return
			}
		}
		if lo != "" && hi != "" && bare.less(hi, lo) {
			p.addf(f, "the range is empty: min %s is above max %s", lo, hi)
			return
		}
	default:
		p.addf(f+".type", "%.20q is not a type: bool, u64, i64 or string", string(q.Type))
		return
	}
	if q.Default != "" {
		p.add(f+".default", q.Check(q.Default))
	}
}
