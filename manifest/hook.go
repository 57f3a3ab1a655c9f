// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// hookSpec is what the manifest knows of a hook.
type hookSpec struct {
	number   uint32 // enum iu_hook
	verdicts map[string]int32
	attach   []attachKey
	// remote: what it runs on comes from somebody else's machine (defaultPolicy).
	remote bool
	btf    string // what stands in BTF before the first key's value; "": it is not looked up there
}

// attachKey is a key of Program.Attach.
type attachKey struct {
	name     string
	required bool
	values   []string // nil: any text
	fallback string   // what a missing one means
	form     func(string) error
}

var hookSpecs = map[Hook]hookSpec{
	HookXDP: {
		number: 1, remote: true,
		// enum xdp_action, linux/bpf.h; a redirect has no target after a fault.
		verdicts: map[string]int32{"aborted": 0, "drop": 1, "pass": 2, "tx": 3},
		attach: []attachKey{
			{name: "interface", required: true, form: checkInterface},
			{name: "mode", values: []string{"auto", "native", "generic"}, fallback: "auto"},
			{name: "frags", values: []string{"no", "yes"}}, // packets of several buffers, too
		},
	},
	HookTC: {
		number: 2, remote: true,
		// TC_ACT_*, linux/pkt_cls.h.
		verdicts: map[string]int32{"unspec": -1, "ok": 0, "shot": 2, "pipe": 3},
		attach: []attachKey{
			{name: "interface", required: true, form: checkInterface},
			{name: "direction", required: true, values: []string{"ingress", "egress"}},
		},
	},
	HookKprobe: {number: 3, verdicts: watching, attach: []attachKey{
		{name: "function", required: true, form: checkSymbol},
		{name: "offset", form: checkNumber},
	}},
	HookKretprobe: {number: 13, verdicts: watching, attach: []attachKey{{name: "function", required: true, form: checkSymbol}}},
	HookUprobe: {number: 14, verdicts: watching, attach: []attachKey{
		{name: "path", required: true, form: checkPath},
		{name: "symbol", form: checkSymbol},
		{name: "offset", form: checkNumber},
		{name: "at", values: []string{"entry", "return"}, fallback: "entry"},
		{name: "pid", form: checkNumber},
	}},
	HookTracepoint: {number: 4, verdicts: watching, attach: []attachKey{{name: "event", required: true, form: checkEvent}}},
	HookPerfEvent: {number: 5, verdicts: watching, attach: []attachKey{
		{name: "event", required: true, values: []string{
			"cpu-clock", "task-clock", "page-faults", "context-switches", "cpu-migrations", "cycles", "instructions", "cache-misses", "branch-misses",
		}},
		{name: "frequency", form: checkNumber},
		{name: "period", form: checkNumber},
	}},
	HookFentry: {number: 6, verdicts: watching, btf: "func ", attach: []attachKey{
		{name: "function", required: true, form: checkSymbol}, {name: "module", form: checkSymbol},
	}},
	HookFexit: {number: 7, verdicts: watching, btf: "func ", attach: []attachKey{
		{name: "function", required: true, form: checkSymbol}, {name: "module", form: checkSymbol},
	}},
	HookTPBTF: {number: 8, verdicts: watching, btf: "typedef btf_trace_", attach: []attachKey{
		{name: "tracepoint", required: true, form: checkSymbol}, {name: "module", form: checkSymbol},
	}},
	HookLSM: {number: 9, verdicts: map[string]int32{"allow": 0, "deny": -1 /* EPERM */}, btf: "func bpf_lsm_", attach: []attachKey{
		{name: "hook", required: true, form: checkSymbol},
	}},
	HookCgroupSKB: {number: 10, verdicts: gate, remote: true, attach: []attachKey{
		{name: "cgroup", required: true, form: checkPath},
		{name: "direction", required: true, values: []string{"ingress", "egress"}},
	}},
	HookCgroupSockAddr: {number: 11, verdicts: gate, attach: []attachKey{
		{name: "cgroup", required: true, form: checkPath},
		{name: "operation", required: true, values: []string{
			"bind4", "bind6", "connect4", "connect6", "sendmsg4", "sendmsg6", "recvmsg4", "recvmsg6",
			"getpeername4", "getpeername6", "getsockname4", "getsockname6",
		}},
	}},
	HookSocketFilter: {number: 12, remote: true, verdicts: map[string]int32{"drop": 0, "keep": -1}},
}

var (
	// Nobody asks a program that watches.
	watching = map[string]int32{"none": 0}
	gate     = map[string]int32{"deny": 0, "allow": 1}
)

// BTFTarget is the BTF requirement that an attachment amounts to: "func
// do_unlinkat" for an fentry there. Empty if there is none, or if a parameter
// or a module decides.
func (h Hook) BTFTarget(attach map[string]string) string {
	spec := hookSpecs[h]
	if spec.btf == "" || attach["module"] != "" {
		return ""
	}
	v := attach[spec.attach[0].name]
	if _, ok := paramRef(v); ok || v == "" {
		return ""
	}
	return spec.btf + v
}

// Hooks lists the hooks, in order of their numbers.
func Hooks() []Hook {
	hooks := slices.Collect(maps.Keys(hookSpecs))
	slices.SortFunc(hooks, func(a, b Hook) int { return int(a.Number()) - int(b.Number()) })
	return hooks
}

// Known reports whether this package knows the hook.
func (h Hook) Known() bool { _, ok := hookSpecs[h]; return ok }

// Number is the hook's number in the object ABI (enum iu_hook), 0 if unknown.
func (h Hook) Number() uint32 { return hookSpecs[h].number }

// Verdict returns the number that the hook has for a verdict's name.
func (h Hook) Verdict(name string) (int32, bool) {
	v, ok := hookSpecs[h].verdicts[name]
	return v, ok
}

// VerdictName is the reverse of Verdict.
func (h Hook) VerdictName(n int32) (string, bool) {
	for name, v := range hookSpecs[h].verdicts {
		if v == n {
			return name, true
		}
	}
	return "", false
}

// Verdicts lists the names, sorted.
func (h Hook) Verdicts() []string {
	return slices.Sorted(maps.Keys(hookSpecs[h].verdicts))
}

func hookNames() string {
	var s []string
	for _, h := range Hooks() {
		s = append(s, string(h))
	}
	return strings.Join(s, ", ")
}

func checkHook(h Hook) error {
	if !h.Known() {
		return fmt.Errorf("%.40q is not a hook: there are %s", string(h), hookNames())
	}
	return nil
}

// paramRef returns the parameter that "${name}" refers to.
func paramRef(value string) (name string, ok bool) {
	name, ok = strings.CutPrefix(value, "${")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, "}")
}

// checkAttach checks keys and values; values that refer to a parameter are
// checked when it has a value.
func (h Hook) checkAttach(attach map[string]string, isParam func(string) bool) error {
	if len(attach) == 0 {
		return nil
	}
	spec := hookSpecs[h]
	for _, k := range slices.Sorted(maps.Keys(attach)) {
		v := attach[k]
		i := slices.IndexFunc(spec.attach, func(a attachKey) bool { return a.name == k })
		if i < 0 {
			var names []string
			for _, a := range spec.attach {
				names = append(names, a.name)
			}
			return fmt.Errorf("%s has no attachment key %.40q: there are %s", h, k, strings.Join(names, ", "))
		}
		if name, ok := paramRef(v); ok {
			if !isParam(name) {
				return fmt.Errorf("%s refers to a parameter that does not exist: %s", k, v)
			}
			continue
		}
		if err := spec.attach[i].check(v); err != nil {
			return err
		}
	}
	for _, a := range spec.attach {
		if _, ok := attach[a.name]; a.required && !ok {
			return fmt.Errorf("%s needs %s", h, a.name)
		}
	}
	return nil
}

func (a attachKey) check(v string) error {
	if err := checkText(v, MaxAttachValue); err != nil {
		return fmt.Errorf("%s %w", a.name, err)
	}
	switch {
	case v == "":
		return fmt.Errorf("%s is empty", a.name)
	case strings.Contains(v, "$"):
		return fmt.Errorf("%s is %q: a parameter is written ${name} and stands alone", a.name, v)
	case a.values != nil && !slices.Contains(a.values, v):
		return fmt.Errorf("%s is %q: want %s", a.name, v, strings.Join(a.values, ", "))
	case a.form != nil:
		return a.form(v)
	}
	return nil
}

// checkInterface is dev_valid_name of net/core/dev.c.
func checkInterface(v string) error {
	if len(v) > 15 || v == "." || v == ".." || strings.ContainsAny(v, "/: \t") {
		return fmt.Errorf("%q is not the name of a network interface", v)
	}
	return nil
}

// checkEvent is GROUP/EVENT, as in the folders of tracefs.
func checkEvent(v string) error {
	group, name, ok := strings.Cut(v, "/")
	if !ok || group == "" || name == "" || checkSymbol(group) != nil || checkSymbol(name) != nil {
		return fmt.Errorf("%.40q is not a tracepoint: want GROUP/EVENT, as in sched/sched_switch", v)
	}
	return nil
}

func checkPath(v string) error {
	if !strings.HasPrefix(v, "/") || path.Clean(v) != v {
		return fmt.Errorf("%.80q is not an absolute, clean path", v)
	}
	return nil
}

func checkNumber(v string) error {
	if _, err := strconv.ParseUint(v, 0, 63); err != nil {
		return fmt.Errorf("%.40q is not a number", v)
	}
	return nil
}
