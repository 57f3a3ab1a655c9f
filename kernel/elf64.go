// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// image is a relocatable ELF64 little-endian file, read strictly: every offset,
// size, index and string is checked when the image is parsed, so that what
// works on one needs no checks of its own. debug/elf is for reading files that
// a linker made; it follows links lazily and forgives more than the kernel does.
type image struct {
	raw      []byte
	hdr      elf.Header64
	sections []section
	symtab   int // section index, 0 if there is none
	symbols  []symbol
}

type section struct {
	elf.Section64
	name string
	data []byte // nil for SHT_NOBITS
}

type symbol struct {
	elf.Sym64
	name string
}

func (s *section) alloc() bool { return s.Flags&uint64(elf.SHF_ALLOC) != 0 }
func (s *section) exec() bool  { return s.Flags&uint64(elf.SHF_EXECINSTR) != 0 }
func (s *section) write() bool { return s.Flags&uint64(elf.SHF_WRITE) != 0 }

func (s *symbol) defined() bool {
	return s.Shndx != uint16(elf.SHN_UNDEF) && s.Shndx < uint16(elf.SHN_LORESERVE)
}

// limits bound what parseImage takes.
type limits struct {
	size, sections, symbols, relocs int
}

var (
	objectLimits = limits{maxObject, maxSections, maxSymbols, maxRelocs}
	// A module built with debug data; these only keep sizes sane.
	moduleLimits = limits{64 << 20, 4096, 1 << 20, 16 << 20}
)

const (
	ehdrSize = 64
	shdrSize = 64
	symSize  = 24
	relaSize = 24
)

func parseImage(raw []byte, lim limits) (*image, error) {
	if len(raw) > lim.size {
		return nil, fmt.Errorf("%d bytes, more than %d", len(raw), lim.size)
	}
	if len(raw) < ehdrSize || string(raw[:4]) != elf.ELFMAG {
		return nil, errors.New("not an ELF file")
	}
	im := &image{raw: raw}
	decode(raw, &im.hdr)
	h := &im.hdr
	switch {
	case elf.Class(h.Ident[elf.EI_CLASS]) != elf.ELFCLASS64 || elf.Data(h.Ident[elf.EI_DATA]) != elf.ELFDATA2LSB:
		return nil, errors.New("not 64-bit little-endian ELF")
	case elf.Type(h.Type) != elf.ET_REL:
		return nil, errors.New("not a relocatable file")
	case h.Version != uint32(elf.EV_CURRENT) || h.Ehsize != ehdrSize || h.Shentsize != shdrSize || h.Phnum != 0:
		return nil, errors.New("malformed ELF header")
	case h.Shnum == 0 || int(h.Shnum) > lim.sections || h.Shstrndx == 0 || h.Shstrndx >= h.Shnum:
		return nil, fmt.Errorf("%d sections, names in %d: want 1 to %d", h.Shnum, h.Shstrndx, lim.sections)
	}
	table, err := im.slice(h.Shoff, uint64(h.Shnum)*shdrSize)
	if err != nil {
		return nil, fmt.Errorf("section headers: %w", err)
	}
	if err := im.readSections(table); err != nil {
		return nil, err
	}
	if err := im.readSymbols(lim); err != nil {
		return nil, err
	}
	return im, im.checkRelocs(lim)
}

func decode(b []byte, v any) {
	if _, err := binary.Decode(b, binary.LittleEndian, v); err != nil {
		panic(err) // a caller checked the length
	}
}

func (im *image) slice(off, size uint64) ([]byte, error) {
	if off > uint64(len(im.raw)) || size > uint64(len(im.raw))-off {
		return nil, fmt.Errorf("%d bytes at %d are beyond the file's end at %d", size, off, len(im.raw))
	}
	return im.raw[off : off+size : off+size], nil
}

func (im *image) readSections(table []byte) error {
	im.sections = make([]section, im.hdr.Shnum)
	for i := range im.sections {
		s := &im.sections[i]
		decode(table[i*shdrSize:], &s.Section64)
		if elf.SectionType(s.Type) == elf.SHT_NULL || elf.SectionType(s.Type) == elf.SHT_NOBITS {
			continue
		}
		var err error
		if s.data, err = im.slice(s.Off, s.Size); err != nil {
			return fmt.Errorf("section %d: %w", i, err)
		}
	}
	if z := &im.sections[0]; elf.SectionType(z.Type) != elf.SHT_NULL || z.Size != 0 {
		return errors.New("section 0 is not null")
	}
	names := &im.sections[im.hdr.Shstrndx]
	if elf.SectionType(names.Type) != elf.SHT_STRTAB {
		return errors.New("section names are not a string table")
	}
	for i := 1; i < len(im.sections); i++ {
		s := &im.sections[i]
		var err error
		if s.name, err = cString(names.data, s.Name); err != nil {
			return fmt.Errorf("name of section %d: %w", i, err)
		}
		if s.Addralign&(s.Addralign-1) != 0 {
			return fmt.Errorf("%s: alignment %d is not a power of two", s.name, s.Addralign)
		}
		if s.Size > 1<<32 {
			return fmt.Errorf("%s: %d bytes", s.name, s.Size)
		}
	}
	return nil
}

func (im *image) readSymbols(lim limits) error {
	for i := range im.sections {
		if elf.SectionType(im.sections[i].Type) != elf.SHT_SYMTAB {
			continue
		}
		if im.symtab != 0 {
			return errors.New("more than one symbol table")
		}
		im.symtab = i
	}
	if im.symtab == 0 {
		return nil
	}
	s := &im.sections[im.symtab]
	if s.Entsize != symSize || s.Size%symSize != 0 || s.Size/symSize > uint64(lim.symbols) {
		return fmt.Errorf("symbol table of %d bytes: want at most %d entries of %d bytes", s.Size, lim.symbols, symSize)
	}
	if int(s.Link) >= len(im.sections) || elf.SectionType(im.sections[s.Link].Type) != elf.SHT_STRTAB {
		return errors.New("symbol names are not a string table")
	}
	names := im.sections[s.Link].data
	im.symbols = make([]symbol, s.Size/symSize)
	for i := range im.symbols {
		y := &im.symbols[i]
		decode(s.data[i*symSize:], &y.Sym64)
		var err error
		if y.name, err = cString(names, y.Name); err != nil {
			return fmt.Errorf("name of symbol %d: %w", i, err)
		}
		if y.defined() {
			if int(y.Shndx) >= len(im.sections) {
				return fmt.Errorf("symbol %s: no section %d", y.name, y.Shndx)
			}
		}
	}
	return nil
}

func (im *image) checkRelocs(lim limits) error {
	total := uint64(0)
	for i := range im.sections {
		s := &im.sections[i]
		switch elf.SectionType(s.Type) {
		case elf.SHT_REL:
			return fmt.Errorf("%s: relocations without addends", s.name)
		case elf.SHT_RELA:
		default:
			continue
		}
		if s.Entsize != relaSize || s.Size%relaSize != 0 {
			return fmt.Errorf("%s: malformed relocations", s.name)
		}
		if total += s.Size / relaSize; total > uint64(lim.relocs) {
			return fmt.Errorf("more than %d relocations", lim.relocs)
		}
		if im.symtab == 0 || int(s.Link) != im.symtab {
			return fmt.Errorf("%s: relocations against no symbol table", s.name)
		}
		if s.Info == 0 || int(s.Info) >= len(im.sections) {
			return fmt.Errorf("%s: no section %d to relocate", s.name, s.Info)
		}
		for r := range relocs(s) {
			if int(r.sym()) >= len(im.symbols) {
				return fmt.Errorf("%s: no symbol %d", s.name, r.sym())
			}
			if target := &im.sections[s.Info]; r.Off >= target.Size {
				return fmt.Errorf("%s: offset %#x is beyond %s", s.name, r.Off, target.name)
			}
		}
	}
	return nil
}

type reloc struct{ elf.Rela64 }

func (r reloc) sym() uint32  { return uint32(r.Info >> 32) }
func (r reloc) kind() uint32 { return uint32(r.Info) }

// relocs goes over the entries of one SHT_RELA section.
func relocs(s *section) func(func(reloc) bool) {
	return func(yield func(reloc) bool) {
		for b := s.data; len(b) >= relaSize; b = b[relaSize:] {
			r := reloc{elf.Rela64{
				Off:    binary.LittleEndian.Uint64(b),
				Info:   binary.LittleEndian.Uint64(b[8:]),
				Addend: int64(binary.LittleEndian.Uint64(b[16:])),
			}}
			if !yield(r) {
				return
			}
		}
	}
}

// section returns the only section of that name, nil if there is none.
func (im *image) section(name string) (*section, error) {
	var found *section
	for i := range im.sections {
		if im.sections[i].name != name || i == 0 {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("two sections are named %s", name)
		}
		found = &im.sections[i]
	}
	return found, nil
}

func cString(table []byte, off uint32) (string, error) {
	if uint64(off) >= uint64(len(table)) {
		if off == 0 {
			return "", nil
		}
		return "", fmt.Errorf("offset %d is beyond the string table", off)
	}
	n := bytes.IndexByte(table[off:], 0)
	if n < 0 {
		return "", errors.New("no end")
	}
	return string(table[off : int(off)+n]), nil
}

// modinfo returns the values of one key of .modinfo.
func (im *image) modinfo(key string) ([]string, error) {
	s, err := im.section(".modinfo")
	if err != nil || s == nil {
		return nil, err
	}
	var out []string
	for kv := range bytes.SplitSeq(s.data, []byte{0}) {
		if v, ok := strings.CutPrefix(string(kv), key+"="); ok {
			out = append(out, v)
		}
	}
	return out, nil
}
