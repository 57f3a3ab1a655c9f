// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Offsets in struct iu_abi_prog.
const (
	progSize    = 64
	progName    = 32 // bytes of the name, which is first
	progFlags   = 36
	progStack   = 48
	progOnFault = 52
)

// endbr64 stands where an indirect call may land.
var endbr64 = []byte{0xf3, 0x0f, 0x1e, 0xfa}

// programEntry is a struct iu_abi_prog, in place.
type programEntry []byte

func (p programEntry) name() string {
	name, _, _ := bytes.Cut(p[:progName], []byte{0})
	return string(name)
}

func (p programEntry) flags() uint32      { return binary.LittleEndian.Uint32(p[progFlags:]) }
func (p programEntry) setStack(n uint32)  { binary.LittleEndian.PutUint32(p[progStack:], n) }
func (p programEntry) setOnFault(v int32) { binary.LittleEndian.PutUint32(p[progOnFault:], uint32(v)) }

// programTable finds the table of programs in an object, to be changed in place.
func programTable(object []byte) ([]programEntry, error) {
	f, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		return nil, err
	}
	s := f.Section(".iu.prog")
	if s == nil || s.Size%progSize != 0 || s.Offset+s.Size > uint64(len(object)) {
		return nil, errors.New("object: no table of programs")
	}
	var out []programEntry
	for at := s.Offset; at < s.Offset+s.Size; at += progSize {
		out = append(out, programEntry(object[at:at+progSize]))
	}
	return out, nil
}

// checkObject checks what the runtime will, and what it cannot: nothing but the
// runtime's symbols is referred to, every return goes through the thunk, and
// entries may be called indirectly.
func checkObject(object []byte) error {
	f, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		return err
	}
	syms, err := f.Symbols()
	if err != nil {
		return err
	}
	allowed := slices.Concat(runtimeSymbols, kernelSymbols, []string{fuelSymbol})
	for _, s := range syms {
		if s.Section == elf.SHN_UNDEF && !slices.Contains(allowed, s.Name) {
			return &RuleError{Rule: fmt.Sprintf("the object refers to %s, which the runtime does not have", s.Name),
				Why: "128-bit division, floating point and the like are calls of a library that the kernel has not"}
		}
		if s.Section == elf.SHN_COMMON {
			return fmt.Errorf("object: %s is a common symbol", s.Name)
		}
	}
	return checkEntries(f, syms)
}

func checkEntries(f *elf.File, syms []elf.Symbol) error {
	i := slices.IndexFunc(f.Sections, func(s *elf.Section) bool { return s.Name == ".iu.prog" })
	if i < 0 {
		return fmt.Errorf("object: no .iu.prog")
	}
	rela := relaFor(f, i)
	if rela == nil {
		return fmt.Errorf("object: .iu.prog has no relocations")
	}
	b, err := rela.Data()
	if err != nil {
		return err
	}
	for ; len(b) >= 24; b = b[24:] {
		n := elf.R_SYM64(binary.LittleEndian.Uint64(b[8:]))
		if n == 0 || int(n) > len(syms) {
			return fmt.Errorf("object: .iu.prog: relocation out of range")
		}
		s := syms[n-1]
		at := s.Value + binary.LittleEndian.Uint64(b[16:])
		if int(s.Section) >= len(f.Sections) {
			return fmt.Errorf("object: entry %s is not defined", s.Name)
		}
		code, err := f.Sections[s.Section].Data()
		if err != nil {
			return err
		}
		if at > uint64(len(code)) || !bytes.HasPrefix(code[at:], endbr64) {
			return fmt.Errorf("object: entry %s does not begin with endbr64", s.Name)
		}
	}
	return nil
}
