// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// KRelocValue is what a kernel relocation is on one kernel (struct iu_abi_kreloc). If it
// does not exist there, the rest is zero.
type KRelocValue struct {
	Exists       bool
	Offset, Size uint32 // bytes
	Bits         uint32 // of a bit field: first bit | number << 8
	Value        uint64
}

// Target answers what kernel relocations ask of one kernel. It may not be used by two
// goroutines at once.
type Target struct {
	specs   []*btf.Spec
	modules []string // whose BTF has not been read yet
	config  kconfig
	source  string   // of config
	tracing []string // where tracefs may be
}

// RunningTarget is the kernel that runs here: vmlinux and the modules that are loaded, its
// configuration and its tracepoints.
func RunningTarget(ctx context.Context) (*Target, error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, fmt.Errorf("BTF of the kernel: %w", err)
	}
	t := &Target{specs: []*btf.Spec{spec}, tracing: []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}}
	files, _ := filepath.Glob("/sys/kernel/btf/*")
	for _, f := range files {
		if name := filepath.Base(f); name != "vmlinux" {
			t.modules = append(t.modules, name)
		}
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return nil, err
	}
	t.config, t.source = readConfig(ctx, strings.TrimSpace(string(release)))
	return t, nil
}

// Resolve works out one kernel relocation. What is missing, or is not of the form that the
// extension is made for, is an error unless it is optional.
func (t *Target) Resolve(r *ObjectKReloc) (KRelocValue, error) {
	v, err := t.resolve(r)
	var no *notHere
	switch {
	case err == nil:
		return v, nil
	case errors.As(err, &no) && (r.Flags&KRelocOptional != 0 || r.Kind == KRelocConfig):
		return KRelocValue{}, nil
	}
	return KRelocValue{}, err
}

// notHere says that this kernel has not what was asked for, or has it otherwise.
type notHere struct{ what string }

func (e *notHere) Error() string { return "this kernel has " + e.what }

func missing(format string, args ...any) error { return &notHere{fmt.Sprintf(format, args...)} }

func (t *Target) resolve(r *ObjectKReloc) (KRelocValue, error) {
	switch r.Kind {
	case KRelocConfig:
		return t.option(r.Type)
	case KRelocTrace:
		return t.traceField(r)
	}
	kind, name, ok := strings.Cut(r.Type, " ")
	if !ok {
		return KRelocValue{}, fmt.Errorf("%q is not a type", r.Type)
	}
	var err error = missing("no %s", r.Type)
	for typ, terr := range t.types(name) {
		if terr != nil {
			return KRelocValue{}, terr
		}
		if kindOf(typ) != kind {
			continue
		}
		var v KRelocValue
		if v, err = inType(typ, r); err == nil {
			return v, nil
		}
	}
	return KRelocValue{}, err
}

// types goes through the types of a name: those of vmlinux, then those of modules.
func (t *Target) types(name string) func(func(btf.Type, error) bool) {
	return func(yield func(btf.Type, error) bool) {
		for i := 0; ; i++ {
			if i == len(t.specs) {
				if len(t.modules) == 0 {
					return
				}
				spec, err := btf.LoadKernelModuleSpec(t.modules[0])
				if t.modules = t.modules[1:]; err != nil {
					i--
					continue // unloaded meanwhile, or its BTF does not fit
				}
				t.specs = append(t.specs, spec)
			}
			types, err := t.specs[i].AnyTypesByName(name)
			if err != nil && !errors.Is(err, btf.ErrNotFound) {
				yield(nil, fmt.Errorf("BTF of the kernel: %w", err))
				return
			}
			for _, typ := range types {
				if !yield(typ, nil) {
					return
				}
			}
		}
	}
}

func inType(typ btf.Type, r *ObjectKReloc) (KRelocValue, error) {
	switch r.Kind {
	case KRelocSize:
		n, err := btf.Sizeof(typ)
		if err != nil {
			return KRelocValue{}, missing("no size of %s: %v", r.Type, err)
		}
		return KRelocValue{Exists: true, Value: uint64(n)}, nil
	case KRelocEnum:
		if e, ok := btf.UnderlyingType(typ).(*btf.Enum); ok {
			for _, v := range e.Values {
				if v.Name == r.Field {
					return KRelocValue{Exists: true, Value: v.Value}, nil
				}
			}
		}
		return KRelocValue{}, missing("no %s in %s", r.Field, r.Type)
	}
	m := btf.Member{Type: typ}
	path := ""
	for name := range strings.SplitSeq(r.Field, ".") {
		path += "." + name
		next, ok := findMember(m.Type, name, 0)
		if !ok {
			return KRelocValue{}, missing("no %s%s", r.Type, path)
		}
		next.Offset += m.Offset
		m = next
	}
	return place(m, r)
}

// findMember is a member by name with its offset in t, also within anonymous structs and
// unions.
func findMember(t btf.Type, name string, depth int) (btf.Member, bool) {
	var members []btf.Member
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		members = t.Members
	case *btf.Union:
		members = t.Members
	}
	for _, m := range members {
		if m.Name == name {
			return m, true
		}
		if m.Name == "" && depth < 16 {
			if in, ok := findMember(m.Type, name, depth+1); ok {
				in.Offset += m.Offset
				return in, true
			}
		}
	}
	return btf.Member{}, false
}

// place is where a member is read, if it has the form that the extension reads.
func place(m btf.Member, r *ObjectKReloc) (KRelocValue, error) {
	size, err := btf.Sizeof(m.Type)
	if err != nil {
		return KRelocValue{}, missing("%s.%s of unknown size: %v", r.Type, r.Field, err)
	}
	var form KRelocFlags
	switch btf.UnderlyingType(m.Type).(type) {
	case *btf.Int, *btf.Enum:
		form = KRelocInt
	case *btf.Pointer:
		form = KRelocPtr
	case *btf.Struct, *btf.Union, *btf.Array:
		form = KRelocInside
	}
	if m.BitfieldSize > 0 {
		return bitField(m, r)
	}
	return checkForm(KRelocValue{Exists: true, Offset: uint32(m.Offset / 8), Size: uint32(size)}, form, r)
}

// checkForm compares what is there with what the extension reads.
func checkForm(v KRelocValue, form KRelocFlags, r *ObjectKReloc) (KRelocValue, error) {
	const forms = KRelocInt | KRelocPtr | KRelocInside
	names := map[KRelocFlags]string{0: "plain data", KRelocInt: "an integer", KRelocPtr: "a pointer", KRelocInside: "a struct, union or array"}
	want := r.Flags & forms
	switch {
	case want != 0 && want != form:
		return KRelocValue{}, missing("%s.%s as %s, not %s", r.Type, r.Field, names[form], names[want])
	case want == KRelocInt && v.Size > r.Want, want == 0 && v.Size != r.Want:
		return KRelocValue{}, missing("%s.%s of %d bytes, not %d", r.Type, r.Field, v.Size, r.Want)
	case v.Offset > maxKRelocBytes || v.Size > maxKRelocBytes-v.Offset:
		return KRelocValue{}, missing("%s.%s too far in it", r.Type, r.Field)
	}
	return v, nil
}

// bitField is the smallest aligned load that has all bits.
func bitField(m btf.Member, r *ObjectKReloc) (KRelocValue, error) {
	first, width := uint32(m.Offset), uint32(m.BitfieldSize)
	if r.Flags&KRelocInt == 0 || width > 8*r.Want {
		return KRelocValue{}, missing("%s.%s as a field of %d bits", r.Type, r.Field, width)
	}
	for size := uint32(1); size <= 8; size *= 2 {
		start := first / 8 / size * size
		if first+width <= 8*(start+size) {
			return KRelocValue{Exists: true, Offset: start, Size: size, Bits: first - 8*start | width<<8}, nil
		}
	}
	return KRelocValue{}, missing("%s.%s across two words", r.Type, r.Field)
}

// option is a symbol of the configuration: y, m or a number.
func (t *Target) option(symbol string) (KRelocValue, error) {
	v, known := t.config.lookup(symbol)
	if !known {
		return KRelocValue{}, fmt.Errorf("the configuration of this kernel could not be read, and CONFIG_%s is asked for", symbol)
	}
	switch v {
	case "n":
		return KRelocValue{}, missing("CONFIG_%s not set (in %s)", symbol, t.source)
	case "y":
		return KRelocValue{Exists: true, Value: 1}, nil
	case "m":
		return KRelocValue{Exists: true, Value: 2}, nil
	default:
		n, err := strconv.ParseInt(v, 0, 64)
		if err != nil {
			u, uerr := strconv.ParseUint(v, 0, 64)
			if uerr != nil {
				return KRelocValue{}, missing("CONFIG_%s=%s, which is no number", symbol, v)
			}
			return KRelocValue{Exists: true, Value: u}, nil
		}
		return KRelocValue{Exists: true, Value: uint64(n)}, nil
	}
}

// traceField reads the format of a tracepoint's records.
func (t *Target) traceField(r *ObjectKReloc) (KRelocValue, error) {
	if !filepath.IsLocal(r.Type) || strings.Count(r.Type, "/") != 1 {
		return KRelocValue{}, fmt.Errorf("%q is not a tracepoint", r.Type)
	}
	var text []byte
	var err error
	for _, dir := range t.tracing {
		if text, err = os.ReadFile(filepath.Join(dir, "events", filepath.FromSlash(r.Type), "format")); err == nil {
			break
		}
	}
	if errors.Is(err, os.ErrNotExist) {
		return KRelocValue{}, missing("no tracepoint %s, or tracefs is not mounted", r.Type)
	} else if err != nil {
		return KRelocValue{}, err
	}
	return parseFormat(text, r)
}

// parseFormat finds a field in a tracepoint's format, whose lines are
//
//	field:char prev_comm[16];	offset:8;	size:16;	signed:0;
func parseFormat(text []byte, r *ObjectKReloc) (KRelocValue, error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		decl, rest, ok := strings.Cut(strings.TrimSpace(lines.Text()), ";")
		decl, isField := strings.CutPrefix(decl, "field:")
		if !ok || !isField {
			continue
		}
		words := strings.Fields(decl)
		if len(words) < 2 {
			continue
		}
		name, _, array := strings.Cut(words[len(words)-1], "[")
		if strings.TrimLeft(name, "*") != r.Field {
			continue
		}
		v := KRelocValue{Exists: true}
		for part := range strings.SplitSeq(rest, ";") {
			key, number, _ := strings.Cut(strings.TrimSpace(part), ":")
			n, err := strconv.ParseUint(number, 10, 32)
			if key != "offset" && key != "size" {
				continue
			}
			if err != nil {
				return KRelocValue{}, fmt.Errorf("format of tracepoint %s: %q", r.Type, lines.Text())
			}
			if key == "offset" {
				v.Offset = uint32(n)
			} else {
				v.Size = uint32(n)
			}
		}
		form := KRelocInt
		switch {
		case array || words[0] == "__data_loc":
			form = KRelocInside
		case strings.Contains(decl, "*"):
			form = KRelocPtr
		case v.Size != 1 && v.Size != 2 && v.Size != 4 && v.Size != 8:
			form = KRelocInside
		}
		return checkForm(v, form, r)
	}
	if err := lines.Err(); err != nil {
		return KRelocValue{}, err
	}
	return KRelocValue{}, missing("no field %s in tracepoint %s", r.Field, r.Type)
}

// resolveTypes tells the runtime what the extension asks of this kernel.
func (l *loader) resolveTypes() error {
	if len(l.object.KRelocs) == 0 {
		return nil
	}
	target, err := RunningTarget(context.Background())
	if err != nil {
		return err
	}
	for i := range l.object.KRelocs {
		v, err := target.Resolve(&l.object.KRelocs[i])
		if err != nil {
			return err
		}
		if err := l.dev.SetKReloc(l.out.ID, i, v); err != nil {
			return named(err, strings.TrimSuffix(l.object.KRelocs[i].Type+"."+l.object.KRelocs[i].Field, "."))
		}
	}
	return nil
}
