// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	secThisModule  = ".gnu.linkonce.this_module"
	secVersions    = "__versions"
	secModinfo     = ".modinfo"
	secReturnSites = ".return_sites"

	versionEntry   = 64 // struct modversion_info: unsigned long crc, char name[64 - 8]
	versionNameLen = 56
	moduleNameLen  = 56 // MODULE_NAME_LEN, with the NUL

	returnThunk = "__x86_return_thunk"
)

// ModuleName is the name of the module that carries an object: from the
// package's name, so that people can tell what it is, and from the object's
// digest, so that two versions can be loaded while one replaces the other.
func ModuleName(pkg string, digest [sha256.Size]byte) string {
	suffix := "_" + hex.EncodeToString(digest[:4])
	name := "iux_" + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, pkg)
	return name[:min(len(name), moduleNameLen-1-len(suffix))] + suffix
}

// Wrap makes a module that the running kernel's loader takes out of an object,
// without compiler or headers: to the object, which stays as it is byte for
// byte, it adds
//
//	.modinfo                    license, depends, name, retpoline, vermagic
//	__versions                  a CRC for every undefined symbol and module_layout
//	.gnu.linkonce.this_module   a struct module with nothing but its name
//	.return_sites               where the kernel patches returns (x86)
//
// All that depends on the kernel is read from runtimeKo, the iu.ko built for
// it: vermagic, the CRCs of the kernel's symbols from its own __versions, those
// of its exports from its __kcrctab_gpl, size and layout of struct module from
// its own. The module has neither init nor exit. The result is a function of
// the arguments alone.
func Wrap(object, runtimeKo []byte, name string) ([]byte, error) {
	if name == "" || len(name) >= moduleNameLen {
		return nil, fmt.Errorf("module name %q: want 1 to %d characters", name, moduleNameLen-1)
	}
	o, err := ReadObject(object)
	if err != nil {
		return nil, err
	}
	rt, err := readRuntimeKo(runtimeKo)
	if err != nil {
		return nil, fmt.Errorf("runtime module: %w", err)
	}
	if o.Machine != rt.machine {
		return nil, fmt.Errorf("object is for %s, the kernel for %s", o.Machine, rt.machine)
	}
	versions, err := rt.versionsFor(o.im)
	if err != nil {
		return nil, err
	}
	sites, err := returnSites(o.im)
	if err != nil {
		return nil, err
	}

	a := newAppender(o.im)
	a.add(elf.Section64{Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC), Addralign: 1}, secModinfo, rt.modinfoFor(name))
	a.add(elf.Section64{Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC), Addralign: 32}, secVersions, versions)
	a.add(elf.Section64{Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC | elf.SHF_WRITE), Addralign: 64}, secThisModule, rt.thisModule(name))
	if len(sites) > 0 {
		target := a.add(elf.Section64{Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC), Addralign: 4}, secReturnSites, make([]byte, 4*len(sites)))
		var rela bytes.Buffer
		for i, s := range sites {
			s.Off = uint64(4 * i)
			_ = binary.Write(&rela, binary.LittleEndian, s) // a Buffer takes all
		}
		a.add(elf.Section64{
			Type: uint32(elf.SHT_RELA), Flags: uint64(elf.SHF_INFO_LINK), Addralign: 8, Entsize: relaSize,
			Link: uint32(o.im.symtab), Info: uint32(target),
		}, ".rela"+secReturnSites, rela.Bytes())
	}
	return a.finish(), nil
}

// returnSites derives, from the object's jumps to the return thunk, the
// relocations of .return_sites: entry i is 32 bits, the jump's address less the
// entry's own. objtool writes the same for code that kbuild compiles. Each is
// expressed against a symbol that the object has.
func returnSites(im *image) ([]elf.Rela64, error) {
	var sites []elf.Rela64
	for i := range im.sections {
		rs := &im.sections[i]
		if elf.SectionType(rs.Type) != elf.SHT_RELA || !im.sections[rs.Info].exec() {
			continue
		}
		text := &im.sections[rs.Info]
		anchor, base := 0, uint64(0)
		for r := range relocs(rs) {
			if im.symbols[r.sym()].name != returnThunk {
				continue
			}
			kind := elf.R_X86_64(r.kind())
			if kind != elf.R_X86_64_PLT32 && kind != elf.R_X86_64_PC32 || r.Addend != -4 ||
				r.Off == 0 || r.Off+4 > uint64(len(text.data)) || text.data[r.Off-1] != 0xe9 {
				return nil, fmt.Errorf("%s+%#x refers to %s other than by a 5-byte jump", text.name, r.Off, returnThunk)
			}
			if anchor == 0 {
				if anchor, base = im.anchor(uint16(rs.Info)); anchor == 0 {
					return nil, fmt.Errorf("%s: no symbol to relocate against", text.name)
				}
			}
			sites = append(sites, elf.Rela64{
				Info:   uint64(anchor)<<32 | uint64(elf.R_X86_64_PC32),
				Addend: int64(r.Off-1) - int64(base),
			})
		}
	}
	return sites, nil
}

// anchor is a symbol of a section, the section's own if there is one, and its
// offset.
func (im *image) anchor(section uint16) (index int, value uint64) {
	for i := 1; i < len(im.symbols); i++ {
		s := &im.symbols[i]
		if s.Shndx != section {
			continue
		}
		if elf.ST_TYPE(s.Info) == elf.STT_SECTION {
			return i, s.Value
		}
		if index == 0 {
			index, value = i, s.Value
		}
	}
	return index, value
}

// runtimeKo is what Wrap takes from iu.ko.
type runtimeKo struct {
	machine    elf.Machine
	vermagic   string
	name       string
	retpoline  bool
	moduleSize uint64
	nameOffset int
	crcs       map[string]uint64 // the kernel's symbols that iu.ko imports, and its exports
}

func readRuntimeKo(raw []byte) (*runtimeKo, error) {
	im, err := parseImage(raw, moduleLimits)
	if err != nil {
		return nil, err
	}
	rt := &runtimeKo{machine: elf.Machine(im.hdr.Machine), crcs: map[string]uint64{}}
	one := func(key string) (string, error) {
		v, err := im.modinfo(key)
		if err == nil && len(v) != 1 {
			err = fmt.Errorf(".modinfo has %d of %s", len(v), key)
		}
		if err != nil {
			return "", err
		}
		return v[0], nil
	}
	if rt.vermagic, err = one("vermagic"); err != nil {
		return nil, err
	}
	if rt.name, err = one("name"); err != nil {
		return nil, err
	}
	retpoline, err := im.modinfo("retpoline")
	if err != nil {
		return nil, err
	}
	rt.retpoline = len(retpoline) > 0
	for _, step := range []func(*image) error{rt.readThisModule, rt.readVersions, rt.readExports} {
		if err := step(im); err != nil {
			return nil, err
		}
	}
	return rt, nil
}

// readThisModule finds the size of struct module and the offset of its name.
// In a module's own one the name is all that is not zero or relocated.
func (rt *runtimeKo) readThisModule(im *image) error {
	s, err := im.section(secThisModule)
	if err != nil {
		return err
	}
	if s == nil || elf.SectionType(s.Type) != elf.SHT_PROGBITS {
		return errors.New("no " + secThisModule)
	}
	at := bytes.IndexFunc(s.data, func(r rune) bool { return r != 0 })
	if at < 0 || at+moduleNameLen > len(s.data) || goString(s.data[at:at+moduleNameLen]) != rt.name ||
		len(bytes.Trim(s.data[at+len(rt.name):], "\x00")) != 0 {
		return fmt.Errorf("%s has more in it than the name %q", secThisModule, rt.name)
	}
	rt.moduleSize, rt.nameOffset = s.Size, at
	return nil
}

func (rt *runtimeKo) readVersions(im *image) error {
	s, err := im.section(secVersions)
	if err != nil {
		return err
	}
	if s == nil {
		return nil // a kernel without CONFIG_MODVERSIONS
	}
	if len(s.data)%versionEntry != 0 {
		return fmt.Errorf("%s of %d bytes", secVersions, len(s.data))
	}
	for e := s.data; len(e) > 0; e = e[versionEntry:] {
		rt.crcs[goString(e[8:versionEntry])] = binary.LittleEndian.Uint64(e)
	}
	return nil
}

// readExports reads the CRCs of the runtime's own exports. Both 6.1 and 6.12
// store each as 32 bits in __kcrctab or __kcrctab_gpl at the symbol __crc_NAME.
func (rt *runtimeKo) readExports(im *image) error {
	for i := range im.symbols {
		y := &im.symbols[i]
		name, ok := strings.CutPrefix(y.name, "__crc_")
		if !ok || !y.defined() {
			continue
		}
		s := &im.sections[y.Shndx]
		if s.name != "__kcrctab" && s.name != "__kcrctab_gpl" {
			continue
		}
		if y.Value+4 > uint64(len(s.data)) || y.Value+4 < y.Value {
			return fmt.Errorf("%s lies beyond %s", y.name, s.name)
		}
		rt.crcs[name] = uint64(binary.LittleEndian.Uint32(s.data[y.Value:]))
	}
	return nil
}

// versionsFor makes __versions: module_layout first, then the object's
// undefined symbols by name.
func (rt *runtimeKo) versionsFor(im *image) ([]byte, error) {
	var names []string
	for i := 1; i < len(im.symbols); i++ {
		if y := &im.symbols[i]; y.Shndx == uint16(elf.SHN_UNDEF) && y.name != "" {
			names = append(names, y.name)
		}
	}
	slices.Sort(names)
	var out []byte
	for _, name := range slices.Insert(slices.Compact(names), 0, "module_layout") {
		crc, ok := rt.crcs[name]
		if !ok {
			return nil, fmt.Errorf("the runtime for %s has no symbol %s", strings.Fields(rt.vermagic + " ?")[0], name)
		}
		if len(name) >= versionNameLen {
			return nil, fmt.Errorf("symbol %s is longer than %d characters", name, versionNameLen-1)
		}
		var e [versionEntry]byte
		binary.LittleEndian.PutUint64(e[:], crc)
		copy(e[8:], name)
		out = append(out, e[:]...)
	}
	return out, nil
}

func (rt *runtimeKo) modinfoFor(name string) []byte {
	var b bytes.Buffer
	put := func(key, value string) { b.WriteString(key + "=" + value + "\x00") }
	put("license", "GPL") // the runtime's symbols are exported to GPL modules only
	put("depends", rt.name)
	put("name", name)
	if rt.retpoline {
		put("retpoline", "Y")
	}
	put("vermagic", rt.vermagic)
	return b.Bytes()
}

func (rt *runtimeKo) thisModule(name string) []byte {
	b := make([]byte, rt.moduleSize)
	copy(b[rt.nameOffset:], name)
	return b
}
