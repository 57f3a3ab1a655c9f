// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// Object is what an extension object says of itself. Nothing in it is trusted
// for safety: the runtime reads the signed bytes again in the kernel.
type Object struct {
	Name    string
	Version string
	Machine elf.Machine
	Digest  [sha256.Size]byte

	Programs []ObjectProgram
	Maps     []ObjectMap
	Params   []ObjectParam
	KRelocs  []ObjectKReloc

	im *image
}

// ObjectProgram is one struct iu_abi_prog.
type ObjectProgram struct {
	Name    string
	Hook    Hook
	Flags   ProgFlags
	Stack   uint32 // proven bound in bytes; 0: checked at run time
	OnFault int32  // what the hook returns after a fault
	Args    Args   // what it takes for arguments
}

// ObjectMap is one struct iu_abi_map.
type ObjectMap struct {
	Name       string
	Type       uint32 // enum bpf_map_type
	KeySize    uint32
	ValueSize  uint32
	MaxEntries uint32 // the most, if Role is MapRoleSized
	Flags      uint32
	Key, Value btf.Type // nil: no types are known (SecTypes)
	Role       MapRole
}

// ObjectParam is one struct iu_abi_param.
type ObjectParam struct {
	Name     string
	Type     ParamType
	Min, Max uint64
	Value    uint64 // the default
}

// ObjectKReloc is one struct iu_abi_kreloc.
type ObjectKReloc struct {
	Type, Field string
	Kind        KRelocKind
	Flags       KRelocFlags
	Want        uint32 // bytes
}

// ReadObject parses an extension object and checks its form: ELF structure,
// the sections it may have, and the tables of the object ABI.
func ReadObject(raw []byte) (*Object, error) {
	o, err := readObject(raw)
	if err != nil {
		return nil, fmt.Errorf("extension object: %w", err)
	}
	return o, nil
}

func readObject(raw []byte) (*Object, error) {
	im, err := parseImage(raw, objectLimits)
	if err != nil {
		return nil, err
	}
	if err := checkObjectSections(im); err != nil {
		return nil, err
	}
	o := &Object{Machine: elf.Machine(im.hdr.Machine), Digest: sha256.Sum256(raw), im: im}
	for _, step := range []func(*image) error{o.readInfo, o.readProgs, o.readMaps, o.readTypes, o.readParams, o.readKRelocs} {
		if err := step(im); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// sectionRule says what the object ABI lets sections of a name be.
type sectionRule struct {
	name          string
	prefix        bool // name.* too
	exec, write   bool
	nobits, table bool
}

var sectionRules = []sectionRule{
	{name: ".text", prefix: true, exec: true},
	{name: ".rodata", prefix: true},
	{name: ".data.rel.ro", prefix: true, write: true},
	{name: ".data", prefix: true, write: true},
	{name: ".bss", prefix: true, write: true, nobits: true},
	{name: secInfo, table: true},
	{name: secProg, table: true},
	{name: secMap, write: true, table: true},
	{name: secParam, write: true, table: true},
	{name: secKReloc, write: true, table: true},
}

func ruleFor(name string) *sectionRule {
	for i := range sectionRules {
		r := &sectionRules[i]
		if name == r.name || r.prefix && strings.HasPrefix(name, r.name+".") {
			return r
		}
	}
	return nil
}

func checkObjectSections(im *image) error {
	seen := map[string]bool{}
	for i := 1; i < len(im.sections); i++ {
		s := &im.sections[i]
		if !s.alloc() {
			continue
		}
		r := ruleFor(s.name)
		if r == nil {
			return fmt.Errorf("section %s is not of an extension", s.name)
		}
		// The module loader names a file in /sys after each section, once.
		if seen[s.name] {
			return fmt.Errorf("two sections are named %s", s.name)
		}
		seen[s.name] = true
		want := elf.SHT_PROGBITS
		if r.nobits {
			want = elf.SHT_NOBITS
		}
		if s.exec() != r.exec || s.write() && !r.write || elf.SectionType(s.Type) != want && s.Size > 0 {
			return fmt.Errorf("section %s: type %s and flags %s do not fit its name", s.name, elf.SectionType(s.Type), elf.SectionFlag(s.Flags))
		}
	}
	return nil
}

// table decodes an array of T from the section of that name.
func table[T any](im *image, name string, limit int) ([]T, error) {
	s, err := im.section(name)
	if err != nil || s == nil {
		return nil, err
	}
	var z T
	size := uint64(sizeOf(z))
	if elf.SectionType(s.Type) != elf.SHT_PROGBITS || s.Size%size != 0 || s.Size/size > uint64(limit) {
		return nil, fmt.Errorf("%s of %d bytes: want at most %d entries of %d bytes", name, s.Size, limit, size)
	}
	out := make([]T, s.Size/size)
	for i := range out {
		decode(s.data[uint64(i)*size:], &out[i])
	}
	return out, nil
}

func (o *Object) readInfo(im *image) error {
	info, err := table[abiInfo](im, secInfo, 1)
	if err != nil {
		return err
	}
	if len(info) != 1 {
		return errors.New("no " + secInfo)
	}
	i := &info[0]
	switch {
	case i.Magic != abiMagic:
		return fmt.Errorf("%s: magic %#x", secInfo, i.Magic)
	case i.ABI != ABIVersion:
		return fmt.Errorf("object ABI %d, this iupkg knows %d", i.ABI, ABIVersion)
	case elf.Machine(i.Machine) != o.Machine:
		return fmt.Errorf("%s: made for %s, file is for %s", secInfo, elf.Machine(i.Machine), o.Machine)
	case i.Reserved != [3]uint64{}:
		return fmt.Errorf("%s: reserved field set", secInfo)
	}
	if o.Name, err = fixedName(i.Name[:]); err != nil {
		return fmt.Errorf("%s: name: %w", secInfo, err)
	}
	if o.Version, err = fixedName(i.Version[:]); err != nil {
		return fmt.Errorf("%s: version: %w", secInfo, err)
	}
	return nil
}

func (o *Object) readProgs(im *image) error {
	progs, err := table[abiProg](im, secProg, maxProgs)
	if err != nil {
		return err
	}
	if len(progs) == 0 {
		return errors.New("no programs")
	}
	names := nameSet{}
	for i := range progs {
		p := &progs[i]
		name, err := names.add(p.Name[:])
		if err != nil {
			return fmt.Errorf("program %d: %w", i, err)
		}
		switch {
		case p.Hook == uint32(HookNone) || p.Hook >= uint32(hookMax):
			return fmt.Errorf("program %s: unknown hook %d", name, p.Hook)
		case p.Flags&^uint32(ProgPoll|ProgStackCheck) != 0:
			return fmt.Errorf("program %s: unknown flags %#x", name, p.Flags)
		case p.Stack == 0 && p.Flags&uint32(ProgStackCheck) == 0:
			return fmt.Errorf("program %s: its stack is neither bounded nor checked", name)
		case p.Entry != 0:
			return fmt.Errorf("program %s: reserved field set", name)
		case !Args(p.Args).valid(Hook(p.Hook)):
			return fmt.Errorf("program %s: arguments %#x at %s", name, p.Args, Hook(p.Hook))
		}
		o.Programs = append(o.Programs, ObjectProgram{name, Hook(p.Hook), ProgFlags(p.Flags), p.Stack, p.OnFault, Args(p.Args)})
	}
	return nil
}

func (o *Object) readMaps(im *image) error {
	maps, err := table[abiMap](im, secMap, maxMaps)
	if err != nil {
		return err
	}
	names := nameSet{}
	for i := range maps {
		m := &maps[i]
		name, err := names.add(m.Name[:])
		if err != nil {
			return fmt.Errorf("map %d: %w", i, err)
		}
		if m.Stride != 0 || m.Map != 0 || m.Data != 0 || m.Reserved != 0 {
			return fmt.Errorf("map %s: reserved field set", name)
		}
		if m.MaxEntries == 0 && m.ValueSize != 0 {
			return fmt.Errorf("map %s: no entries", name)
		}
		role := MapRole(m.Role)
		switch {
		case role > mapRoleMax:
			return fmt.Errorf("map %s: unknown role %d", name, m.Role)
		case role != MapRoleNone && (ebpf.MapType(m.Type) != ebpf.Array || m.MapFlags != 0):
			return fmt.Errorf("map %s: only a plain array has a role", name)
		case role == MapRoleGaps && (m.ValueSize != 8 || m.MaxEntries != 1):
			return fmt.Errorf("map %s: the map of gaps is not one number", name)
		}
		o.Maps = append(o.Maps, ObjectMap{Name: name, Type: m.Type, KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries, Flags: m.MapFlags, Role: role})
	}
	return nil
}

func (o *Object) readParams(im *image) error {
	params, err := table[abiParam](im, secParam, maxParams)
	if err != nil {
		return err
	}
	names := nameSet{}
	for i := range params {
		p := &params[i]
		name, err := names.add(p.Name[:])
		if err != nil {
			return fmt.Errorf("parameter %d: %w", i, err)
		}
		q := ObjectParam{name, ParamType(p.Type), p.Min, p.Max, p.Value}
		if p.Reserved != 0 {
			return fmt.Errorf("parameter %s: reserved field set", name)
		}
		if err := q.check(p.Value); err != nil {
			return fmt.Errorf("default of parameter %s: %w", name, err)
		}
		o.Params = append(o.Params, q)
	}
	return nil
}

func (o *Object) readKRelocs(im *image) error {
	list, err := table[abiKreloc](im, secKReloc, maxKRelocs)
	if err != nil {
		return err
	}
	for i := range list {
		r := &list[i]
		typ, err := typeName(r.Type[:])
		if err != nil {
			return fmt.Errorf("kernel relocation %d: %w", i, err)
		}
		field, err := typeName(r.Field[:])
		if err != nil {
			return fmt.Errorf("kernel relocation of %s: %w", typ, err)
		}
		q := ObjectKReloc{typ, field, KRelocKind(r.Kind), KRelocFlags(r.Flags), r.Want}
		switch {
		case q.Kind < KRelocField || q.Kind > KRelocTrace:
			return fmt.Errorf("kernel relocation of %s: unknown kind %d", typ, r.Kind)
		case q.Flags&^(KRelocOptional|KRelocInt|KRelocPtr|KRelocInside) != 0:
			return fmt.Errorf("kernel relocation of %s: unknown flags %#x", typ, r.Flags)
		case r.Exists != 0 || r.Offset != 0 || r.Size != 0 || r.Bits != 0 || r.Reserved != 0 || r.Value != 0:
			return fmt.Errorf("kernel relocation of %s: resolved already", typ)
		case typ == "" || (field == "") != (q.Kind == KRelocSize || q.Kind == KRelocConfig):
			return fmt.Errorf("kernel relocation %d: no type or member", i)
		}
		o.KRelocs = append(o.KRelocs, q)
	}
	return nil
}

// typeName reads the name of a type or member of the kernel: as fixedName, but it may have
// spaces and be empty.
func typeName(b []byte) (string, error) {
	n := bytes.IndexByte(b, 0)
	if n < 0 || len(bytes.Trim(b[n:], "\x00")) != 0 {
		return "", errors.New("name too long, or bytes after it")
	}
	for _, c := range b[:n] {
		if c < ' ' || c > '~' {
			return "", fmt.Errorf("name %q has a character that no name has", b[:n])
		}
	}
	return string(b[:n]), nil
}

// nameSet refuses the second use of a name in one table.
type nameSet map[string]bool

func (s nameSet) add(b []byte) (string, error) {
	name, err := fixedName(b)
	if err != nil {
		return "", err
	}
	if s[name] {
		return "", fmt.Errorf("second use of the name %q", name)
	}
	s[name] = true
	return name, nil
}

// fixedName reads a name of a fixed array: NUL-terminated, zeros after it,
// printable ASCII without spaces.
func fixedName(b []byte) (string, error) {
	n := bytes.IndexByte(b, 0)
	if n <= 0 {
		return "", errors.New("name empty or too long")
	}
	for _, c := range b[:n] {
		if c <= ' ' || c > '~' || c == '/' {
			return "", fmt.Errorf("name %q has a character that no name has", b[:n])
		}
	}
	if len(bytes.Trim(b[n:], "\x00")) != 0 {
		return "", fmt.Errorf("bytes after the name %q", b[:n])
	}
	return string(b[:n]), nil
}
