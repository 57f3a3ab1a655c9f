// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// appender adds sections to a relocatable file. What the file has keeps its
// place and its section numbers; new contents, a longer table of section names
// and a new table of section headers follow it. The old tables stay behind as
// dead bytes.
type appender struct {
	im      *image
	out     []byte
	headers []elf.Section64
	names   []byte
}

func newAppender(im *image) *appender {
	a := &appender{im: im, out: bytes.Clone(im.raw)}
	for i := range im.sections {
		a.headers = append(a.headers, im.sections[i].Section64)
	}
	a.names = bytes.Clone(im.sections[im.hdr.Shstrndx].data)
	return a
}

func (a *appender) align(n uint64) {
	for uint64(len(a.out))%n != 0 {
		a.out = append(a.out, 0)
	}
}

// add appends a section and returns its number; h says all but place, size and
// name.
func (a *appender) add(h elf.Section64, name string, data []byte) int {
	a.align(max(h.Addralign, 1))
	h.Name = uint32(len(a.names))
	a.names = append(append(a.names, name...), 0)
	h.Off, h.Size = uint64(len(a.out)), uint64(len(data))
	a.out = append(a.out, data...)
	a.headers = append(a.headers, h)
	return len(a.headers) - 1
}

func (a *appender) finish() []byte {
	names := &a.headers[a.im.hdr.Shstrndx]
	names.Off, names.Size = uint64(len(a.out)), uint64(len(a.names))
	a.out = append(a.out, a.names...)

	a.align(8)
	hdr := a.im.hdr
	hdr.Shoff, hdr.Shnum = uint64(len(a.out)), uint16(len(a.headers))
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, a.headers) // a Buffer takes all
	a.out = append(a.out, b.Bytes()...)
	b.Reset()
	_ = binary.Write(&b, binary.LittleEndian, hdr)
	copy(a.out, b.Bytes())
	return a.out
}
