// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
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
	k Kernel

	release map[string][]Finding
	config  map[string][]Finding
	types   map[string][]Finding
}

// NewChecker makes a Checker of a kernel, of which nothing may change any more.
func NewChecker(k Kernel) *Checker {
	return &Checker{k, map[string][]Finding{}, map[string][]Finding{}, map[string][]Finding{}}
}

// Check is Checker.Check, once.
func (p *Profile) Check(r Requirements, btf BTFLookup) []Finding {
	return NewChecker(p.Kernel(btf)).Check(r)
}

// Check returns what keeps r from being met on this kernel, in the order
// architecture, release, hooks, runtime ABI, configuration, BTF,
// symbols; nothing if all is met. Requirements that do not parse are not met.
func (c *Checker) Check(r Requirements) []Finding {
	var out []Finding
	add := func(req string, a Answer, format string, args ...any) {
		if a != Yes {
			out = append(out, Finding{Requirement: req, Answer: a, Found: fmt.Sprintf(format, args...)})
		}
	}
	if is := c.k.Uname(); r.Arch != "" && r.Arch != is.Arch {
		add("architecture "+r.Arch, No, "this kernel is %s", is.Arch)
	}
	out = append(out, once(c.release, r.Release, c.checkRelease)...)
	for _, h := range r.Hooks {
		a, found := c.k.LookupHook(h)
		if found == "" {
			found = "this kernel does not offer it"
			if a != No {
				found = "it could not be told whether this kernel offers it"
			}
		}
		add("hook "+string(h), a, "%s", found)
	}
	if rt := c.k.LookupRuntime(); rt != nil && (r.ABI > rt.ABI || r.ABI < rt.oldest()) {
		add(fmt.Sprintf("runtime ABI %d", r.ABI), No, "the loaded runtime has %s", rt.abis())
	}
	for _, s := range r.Config {
		out = append(out, once(c.config, s, c.checkConfig)...)
	}
	for _, s := range r.BTF {
		out = append(out, once(c.types, s, c.checkBTF)...)
	}
	for _, s := range r.Symbols {
		a := c.k.LookupSymbol(s)
		found := "this kernel does not export it"
		if a != No {
			found = "the symbols of this kernel could not be read"
		}
		add("symbol "+s, a, "%s", found)
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
	if err != nil {
		add(s, No, "%v", err)
		return
	}
	a, found := c.k.LookupBTF(req)
	if found == "" {
		found = "this kernel does not have it"
		if a != No {
			found = "it could not be told whether this kernel has it"
		}
	}
	add(req.String(), a, "%s", found)
}

type addFinding = func(req string, a Answer, format string, args ...any)

func (c *Checker) checkRelease(s string, add addFinding) {
	rr, err := ParseReleaseRange(s)
	if err != nil {
		add("kernel release "+s, No, "%v", err)
		return
	}
	req := "kernel release " + rr.String()
	is := c.k.Uname()
	rel, err := ParseRelease(is.Release, is.Version)
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
		add(req, Unknown, "this kernel is %s and its patch level could not be told from %s", rel, is.Release)
	}
}

// checkConfig makes one finding for each part of an && that fails, so that each
// says what to change.
func (c *Checker) checkConfig(s string, add addFinding) {
	e, err := ParseConfigExpr(s)
	if err != nil {
		add(s, No, "%v", err)
		return
	}
	for _, part := range e.Conjuncts() {
		v, why := part.Eval(c.k.LookupConfig)
		if v != TriN && v != TriUnknown {
			continue
		}
		req := part.String()
		// One symbol that has to be one thing: say that.
		if len(why) == 1 && part.simple() {
			req = why[0].Wanted
		}
		if v == TriUnknown {
			add(req, Unknown, "the configuration of this kernel could not be read")
			continue
		}
		add(req, No, "this kernel has %s%s", foundConfig(why, len(why) == 1 && part.simple()), c.configSource())
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

func (c *Checker) configSource() string {
	if file := c.k.ConfigFile(); file != "" {
		return " (" + file + ")"
	}
	return ""
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
