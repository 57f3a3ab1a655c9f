// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"

	"github.com/iupkg/iupkg/manifest"
)

// ParamError says why the parameters of a load are refused; the user can give
// others.
type ParamError struct{ Err error }

func (e *ParamError) Error() string { return e.Err.Error() }
func (e *ParamError) Unwrap() error { return e.Err }

// check says whether v is a value of this parameter.
func (p *ObjectParam) check(v uint64) error {
	ok, span := false, ""
	switch p.Type {
	case ParamBool:
		ok, span = v <= 1, "0 or 1"
	case ParamU64:
		ok, span = p.Min <= v && v <= p.Max, fmt.Sprintf("%d to %d", p.Min, p.Max)
	case ParamI64:
		ok = int64(p.Min) <= int64(v) && int64(v) <= int64(p.Max)
		span = fmt.Sprintf("%d to %d", int64(p.Min), int64(p.Max))
	default:
		return fmt.Errorf("parameter %s: unknown type %d", p.Name, p.Type)
	}
	if !ok {
		return fmt.Errorf("parameter %s: the object takes %s", p.Name, span)
	}
	return nil
}

var paramTypes = map[manifest.ParamType]ParamType{
	manifest.ParamBool: ParamBool, manifest.ParamU64: ParamU64, manifest.ParamI64: ParamI64,
}

// resolveParams works out the value of every parameter: texts by name, for
// attachments, and the values of the object's table by index. It refuses with
// a *ParamError what the user can put right.
func resolveParams(m *manifest.Manifest, o *Object, set map[string]string) (map[string]string, []uint64, error) {
	texts, err := m.Settings(set)
	if err != nil {
		return nil, nil, &ParamError{err}
	}
	values := make([]uint64, len(o.Params))
	named := make([]bool, len(o.Params))
	for i := range m.Params {
		p := &m.Params[i]
		if p.Object == nil {
			continue
		}
		n := *p.Object
		if n < 0 || n >= len(o.Params) || named[n] || o.Params[n].Name != p.Name || o.Params[n].Type != paramTypes[p.Type] {
			return nil, nil, fmt.Errorf("manifest and object differ: parameter %s is not entry %d of the object's table", p.Name, n)
		}
		named[n] = true
		if values[n], err = p.Bits(texts[p.Name]); err != nil {
			return nil, nil, &ParamError{err}
		}
		if err := o.Params[n].check(values[n]); err != nil {
			return nil, nil, &ParamError{err}
		}
	}
	for n := range named {
		if !named[n] {
			return nil, nil, fmt.Errorf("manifest and object differ: the manifest has no parameter %s", o.Params[n].Name)
		}
	}
	return texts, values, nil
}
