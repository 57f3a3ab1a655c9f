// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Check says what is wrong with a value for the parameter. Numbers are decimal,
// without sign if it is +, leading zeros or spaces; a bool is true or false.
func (q *Param) Check(value string) error {
	switch q.Type {
	case ParamString:
		if value == "" {
			return fmt.Errorf("%s is empty", q.Name)
		}
		if err := checkText(value, MaxAttachValue); err != nil {
			return fmt.Errorf("%s %w", q.Name, err)
		}
		if strings.Contains(value, "$") {
			return fmt.Errorf("%s is %q: $ is not allowed", q.Name, value)
		}
		return nil
	case ParamBool:
		if value != "true" && value != "false" {
			return fmt.Errorf("%s is %.40q: want true or false", q.Name, value)
		}
		return nil
	}
	if _, err := q.Bits(value); err != nil {
		if q.Min != "" && q.Max != "" {
			return fmt.Errorf("%s is %.40q: want a whole number from %s", q.Name, value, q.rangeText())
		}
		return err
	}
	if q.Min != "" && q.less(value, q.Min) || q.Max != "" && q.less(q.Max, value) {
		return fmt.Errorf("%s is %s: want %s", q.Name, value, q.rangeText())
	}
	return nil
}

func (q *Param) rangeText() string {
	switch {
	case q.Max == "":
		return "at least " + q.Min
	case q.Min == "":
		return "at most " + q.Max
	}
	return q.Min + " to " + q.Max
}

// less compares two numbers that are known to be of the parameter's type.
func (q *Param) less(a, b string) bool {
	x, _ := q.Bits(a)
	y, _ := q.Bits(b)
	if q.Type == ParamI64 {
		return int64(x) < int64(y)
	}
	return x < y
}

// Bits returns the value as the object's table has it: 64 bits, a bool as 0 or
// 1. It does not check the range. Strings have none.
func (q *Param) Bits(value string) (uint64, error) {
	switch q.Type {
	case ParamBool:
		if err := q.Check(value); err != nil {
			return 0, err
		}
		if value == "true" {
			return 1, nil
		}
		return 0, nil
	case ParamU64:
		u, err := strconv.ParseUint(value, 10, 64)
		if err != nil || strconv.FormatUint(u, 10) != value {
			return 0, fmt.Errorf("%s is %.40q: want a whole number from 0 to 2^64-1", q.Name, value)
		}
		return u, nil
	case ParamI64:
		i, err := strconv.ParseInt(value, 10, 64)
		if err != nil || strconv.FormatInt(i, 10) != value {
			return 0, fmt.Errorf("%s is %.40q: want a whole number from -2^63 to 2^63-1", q.Name, value)
		}
		return uint64(i), nil
	}
	return 0, fmt.Errorf("%s is a %s, which has no place in an object", q.Name, q.Type)
}

// Settings returns the value of every parameter: what the user set, else the
// default; policies (see Policy) are not among them. It refuses names that do not exist, values out of range, and
// parameters that have neither.
func (m *Manifest) Settings(set map[string]string) (map[string]string, error) {
	out := make(map[string]string, len(m.Params))
	for i := range m.Params {
		q := &m.Params[i]
		v, given := set[q.Name]
		switch {
		case given:
			if err := q.Check(v); err != nil {
				return nil, fmt.Errorf("%s: %w", m.Name, err)
			}
		case q.Default == "":
			return nil, &MissingParamError{Package: m.Name, Param: *q}
		default:
			v = q.Default
		}
		out[q.Name] = v
	}
	if _, err := m.Policies(set); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if _, _, policy := m.policyKey(name); policy {
			continue
		}
		if _, ok := out[name]; !ok {
			var names []string
			for _, q := range m.Params {
				names = append(names, q.Name)
			}
			if len(names) == 0 {
				return nil, fmt.Errorf("%s has no parameter %q: it has none", m.Name, name)
			}
			return nil, fmt.Errorf("%s has no parameter %q: it has %s", m.Name, name, strings.Join(names, ", "))
		}
	}
	return out, nil
}

// MissingParamError is a parameter without a default that was not set.
type MissingParamError struct {
	Package string
	Param   Param
}

func (e *MissingParamError) Error() string {
	s := fmt.Sprintf("%s needs a value for %s", e.Package, e.Param.Name)
	if e.Param.Doc != "" {
		s += " (" + e.Param.Doc + ")"
	}
	return s
}

// Target returns where the program is to be attached, with the values that
// Settings returned put in and defaults of the hook filled in. It is nil if the
// program has no attachment.
func (q *Program) Target(values map[string]string) (map[string]string, error) {
	if len(q.Attach) == 0 {
		return nil, nil
	}
	out := make(map[string]string, len(q.Attach)+1)
	for k, v := range q.Attach {
		if name, ok := paramRef(v); ok {
			v = values[name]
		}
		out[k] = v
	}
	for _, a := range hookSpecs[q.Hook].attach {
		if _, ok := out[a.name]; !ok && a.fallback != "" {
			out[a.name] = a.fallback
		}
	}
	if err := q.Hook.checkAttach(out, func(string) bool { return false }); err != nil {
		return nil, fmt.Errorf("program %s: %w", q.Name, err)
	}
	return out, nil
}
