// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"slices"
	"strings"
)

// Finding is a requirement that a kernel does not meet (No), or of which it
// could not be told (Unknown). Put together as "needs <Requirement>; <Found>"
// it is a sentence.
type Finding struct {
	Requirement string `json:"requirement"` // "FUNCTION_ERROR_INJECTION=y", "kernel release >=6.99"
	Answer      Answer `json:"answer"`
	Found       string `json:"found"` // "this kernel has it off (/boot/config-6.12.1)"
	// Variant is the one of several of a version that requires it, from 1; 0: all do, or
	// there is only one.
	Variant int `json:"variant,omitempty"`
}

func (f Finding) String() string {
	text := "needs " + f.Requirement + "; " + f.Found
	if f.Variant > 0 {
		text = fmt.Sprintf("(variant %d) %s", f.Variant, text)
	}
	return text
}

// Fits reports whether nothing among the findings is a No. Those that are
// Unknown may still fail at load.
func Fits(findings []Finding) bool {
	for _, f := range findings {
		if f.Answer == No {
			return false
		}
	}
	return true
}

// Checker checks requirements against one kernel. It remembers what it was asked,
// as the versions of a package mostly require the same. One goroutine may use it
// at a time.
type Checker struct {
	p   *Profile
	btf BTFLookup

	release map[string][]Finding
	config  map[string][]Finding
	types   map[string][]Finding
}

// NewChecker makes a Checker of a profile, which must not change any more. btf may
// be nil: then every BTF requirement is unknown.
func NewChecker(p *Profile, btf BTFLookup) *Checker {
	return &Checker{p, btf, map[string][]Finding{}, map[string][]Finding{}, map[string][]Finding{}}
}

// Check is Checker.Check, once.
func (p *Profile) Check(r Requirements, btf BTFLookup) []Finding { return NewChecker(p, btf).Check(r) }

// Check returns what keeps r from being met on this kernel, in the order
// architecture, release, hooks, runtime ABI, configuration, BTF,
// symbols; nothing if all is met. Requirements that do not parse are not met.
func (c *Checker) Check(r Requirements) []Finding {
	p := c.p
	var out []Finding
	add := func(req string, a Answer, format string, args ...any) {
		if a != Yes {
			out = append(out, Finding{Requirement: req, Answer: a, Found: fmt.Sprintf(format, args...)})
		}
	}
	if r.Arch != "" && r.Arch != p.Arch {
		add("architecture "+r.Arch, No, "this kernel is %s", p.Arch)
	}
	out = append(out, once(c.release, r.Release, p.checkRelease)...)
	for _, h := range r.Hooks {
		switch a := p.Hooks[h]; a {
		case Yes:
		case No:
			found := "this kernel does not offer it"
			if len(p.BTF) == 0 && !p.offersAny() {
				// The usual reason, and one that the user can mend.
				found = "this kernel shows no BTF (/sys/kernel/btf/vmlinux), without which no hook can be used"
			}
			add("hook "+string(h), No, "%s", found)
		default:
			add("hook "+string(h), Unknown, "it could not be told whether this kernel offers it")
		}
	}
	if rt := p.Runtime; rt != nil && (r.ABI > rt.ABI || r.ABI < rt.oldest()) {
		add(fmt.Sprintf("runtime ABI %d", r.ABI), No, "the loaded runtime has %s", rt.abis())
	}
	for _, s := range r.Config {
		out = append(out, once(c.config, s, p.checkConfig)...)
	}
	for _, s := range r.BTF {
		out = append(out, once(c.types, s, c.checkBTF)...)
	}
	for _, s := range r.Symbols {
		if p.Symbols == nil {
			add("symbol "+s, Unknown, "the symbols of this kernel could not be read")
		} else if _, ok := slices.BinarySearch(p.Symbols, s); !ok {
			add("symbol "+s, No, "this kernel does not export it")
		}
	}
	return out
}

// once is what check finds of s, asked for the first time only.
func once(known map[string][]Finding, s string, check func(string, addFinding)) []Finding {
	out, ok := known[s]
	if !ok {
		check(s, func(req string, a Answer, format string, args ...any) {
			if a != Yes {
				out = append(out, Finding{Requirement: req, Answer: a, Found: fmt.Sprintf(format, args...)})
			}
		})
		known[s] = out
	}
	return out
}

func (c *Checker) checkBTF(s string, add addFinding) {
	req, err := ParseBTFReq(s)
	switch {
	case err != nil:
		add(s, No, "%v", err)
	case c.btf == nil:
		add(req.String(), Unknown, "the BTF of this kernel could not be read")
	default:
		a, found := c.btf.LookupBTF(req)
		if found == "" {
			found = "this kernel does not have it"
			if a != No {
				found = "it could not be told whether this kernel has it"
			}
		}
		add(req.String(), a, "%s", found)
	}
}

type addFinding = func(req string, a Answer, format string, args ...any)

func (p *Profile) checkRelease(s string, add addFinding) {
	rr, err := ParseReleaseRange(s)
	if err != nil {
		add("kernel release "+s, No, "%v", err)
		return
	}
	req := "kernel release " + rr.String()
	rel, err := ParseRelease(p.Release, p.Version)
	if err != nil {
		if s != "" {
			add(req, Unknown, "%v", err)
		}
		return
	}
	switch a := rr.Contains(rel); a {
	case No:
		add(req, No, "this kernel is %s", rel)
	case Unknown:
		add(req, Unknown, "this kernel is %s and its patch level could not be told from %s", rel, p.Release)
	}
}

// checkConfig makes one finding for each part of an && that fails, so that each
// says what to change.
func (p *Profile) checkConfig(s string, add addFinding) {
	e, err := ParseConfigExpr(s)
	if err != nil {
		add(s, No, "%v", err)
		return
	}
	for _, c := range e.Conjuncts() {
		v, why := c.Eval(p.LookupConfig)
		if v != TriN && v != TriUnknown {
			continue
		}
		req := c.String()
		// One symbol that has to be one thing: say that.
		if len(why) == 1 && c.simple() {
			req = why[0].Wanted
		}
		if v == TriUnknown {
			add(req, Unknown, "the configuration of this kernel could not be read")
			continue
		}
		add(req, No, "this kernel has %s%s", foundConfig(why, len(why) == 1 && c.simple()), p.configSource())
	}
}

// simple reports whether the expression is about one symbol only.
func (e *ConfigExpr) simple() bool {
	switch n := e.root.(type) {
	case operand:
		return true
	case relNode:
		return n.left.kind != operandSymbol || n.right.kind != operandSymbol
	case notNode:
		return (&ConfigExpr{n.kid}).simple()
	}
	return false
}

func (p *Profile) configSource() string {
	if p.ConfigSource == "" {
		return ""
	}
	return " (" + p.ConfigSource + ")"
}

func foundConfig(why []Cause, it bool) string {
	var parts []string
	for _, c := range why {
		name := c.Symbol
		if it {
			name = "it"
		}
		switch c.Found {
		case "n":
			parts = append(parts, name+" off")
		case "y":
			parts = append(parts, name+" on")
		case "m":
			parts = append(parts, name+" as a module")
		default:
			parts = append(parts, c.Symbol+"="+c.Found)
		}
	}
	if len(parts) == 0 {
		return "no such thing"
	}
	return strings.Join(parts, ", ")
}

// offersAny reports whether any hook works.
func (p *Profile) offersAny() bool {
	for _, a := range p.Hooks {
		if a == Yes {
			return true
		}
	}
	return false
}
