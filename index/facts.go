// SPDX-License-Identifier: Apache-2.0

package index

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/iupkg/iupkg/manifest"
)

// A facts file is made on this machine from the bins, so that a resolver reads the
// versions of a package in some microseconds and without parsing the rest of its
// bin. Numbers are little-endian:
//
//	magic     "iufacts2"
//	packages  u32, bins u32, bytes of provided u32
//	bins      in order, each: number u16, packages u32, SHA-256 of the bin
//	packages  in the order of key, each: key u64, the first eight bytes of the
//	          SHA-256 of the name, big-endian, so that bins stay together; offset
//	          u64; length u32; CRC-32C u32 of the record
//	provided  in the order of bins, each: bin u16; provided name and the name of the
//	          package that does in some version, as length u8 and text
//	records   see factWriter
//
// The CRC of all before the records stands in current.json.
const factsMagic = "iufacts2"

const (
	factsHead  = 8 + 4 + 4 + 4
	factsBin   = 2 + 4 + 32
	factsEntry = 8 + 8 + 4 + 4
)

// facts is an open facts file.
type facts struct {
	f    *os.File
	bins []factBin
	dir  []factEntry

	provided []factProvided
}

type factProvided struct {
	bin        uint16
	name, from string
}

type factBin struct {
	number   uint16
	packages uint32
	hash     [32]byte
}

type factEntry struct {
	key, offset uint64
	length, crc uint32
}

func factKey(name string) uint64 {
	sum := sha256.Sum256([]byte(name))
	return binary.BigEndian.Uint64(sum[:])
}

// openFacts opens the facts file that c names.
func (l local) openFacts(c *current) (*facts, error) {
	path, err := l.path(c.Facts)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	x := &facts{f: f}
	if err := x.readHead(c.FactsCRC); err != nil {
		f.Close()
		return nil, refuse(path, err)
	}
	return x, nil
}

func (x *facts) readHead(crc uint32) error {
	fi, err := x.f.Stat()
	if err != nil {
		return err
	}
	var first [factsHead]byte
	if _, err := io.ReadFull(x.f, first[:]); err != nil || string(first[:8]) != factsMagic {
		return errDamaged
	}
	packages, bins := binary.LittleEndian.Uint32(first[8:]), binary.LittleEndian.Uint32(first[12:])
	rest := int64(bins)*factsBin + int64(packages)*factsEntry + int64(binary.LittleEndian.Uint32(first[16:]))
	if rest > fi.Size() {
		return errDamaged
	}
	b := make([]byte, rest)
	if _, err := io.ReadFull(x.f, b); err != nil {
		return errDamaged
	}
	if crc32.Update(crc32.Checksum(first[:], castagnoli), castagnoli, b) != crc {
		return errDamaged
	}
	x.bins = make([]factBin, bins)
	for i := range x.bins {
		x.bins[i].number, x.bins[i].packages = binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint32(b[2:])
		copy(x.bins[i].hash[:], b[6:])
		b = b[factsBin:]
	}
	x.dir = make([]factEntry, packages)
	for i := range x.dir {
		e := &x.dir[i]
		e.key, e.offset = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
		e.length, e.crc = binary.LittleEndian.Uint32(b[16:]), binary.LittleEndian.Uint32(b[20:])
		b = b[factsEntry:]
	}
	text := func() (s string, ok bool) {
		if len(b) < 1 || len(b) < 1+int(b[0]) {
			return "", false
		}
		s, b = string(b[1:1+b[0]]), b[1+b[0]:]
		return s, true
	}
	for len(b) >= 2 {
		p := factProvided{bin: binary.LittleEndian.Uint16(b)}
		b = b[2:]
		var ok1, ok2 bool
		p.name, ok1 = text()
		p.from, ok2 = text()
		if !ok1 || !ok2 {
			return errDamaged
		}
		x.provided = append(x.provided, p)
	}
	return nil
}

// providers is the packages of which some version provides the name, in order.
func (x *facts) providers(name string) []string {
	var out []string
	for _, p := range x.provided {
		if p.name == name {
			out = append(out, p.from)
		}
	}
	slices.Sort(out)
	return out
}

// record reads a record and checks that it is whole.
func (x *facts) record(e factEntry) ([]byte, error) {
	if e.length > maxBin {
		return nil, errDamaged
	}
	b := make([]byte, e.length)
	if _, err := x.f.ReadAt(b, int64(e.offset)); err != nil || crc32.Checksum(b, castagnoli) != e.crc {
		return nil, refuse(x.f.Name(), errDamaged)
	}
	return b, nil
}

// versions is those of a package, or *UnknownPackage.
func (x *facts) versions(name string) ([]Version, error) {
	key := factKey(name)
	i, _ := slices.BinarySearchFunc(x.dir, key, func(e factEntry, key uint64) int { return cmp.Compare(e.key, key) })
	for ; i < len(x.dir) && x.dir[i].key == key; i++ {
		b, err := x.record(x.dir[i])
		if err != nil {
			return nil, err
		}
		found, list, err := decodeFacts(b)
		if err != nil {
			return nil, refuse(x.f.Name(), err)
		}
		if found == name {
			return list, nil
		}
	}
	return nil, &UnknownPackage{Name: name}
}

// bin is the records of a bin, if the file was made from the bin of that hash.
func (x *facts) bin(id, hash string) (entries []factEntry, records [][]byte, provided []factProvided) {
	if x == nil {
		return nil, nil, nil
	}
	var n uint16
	fmt.Sscanf(id, "%03x", &n)
	i, ok := slices.BinarySearchFunc(x.bins, n, func(b factBin, n uint16) int { return cmp.Compare(b.number, n) })
	if !ok || hex.EncodeToString(x.bins[i].hash[:]) != hash {
		return nil, nil, nil
	}
	first, _ := slices.BinarySearchFunc(x.dir, uint64(n)<<52, func(e factEntry, key uint64) int { return cmp.Compare(e.key, key) })
	last := first + int(x.bins[i].packages)
	if last > len(x.dir) {
		return nil, nil, nil
	}
	for _, e := range x.dir[first:last] {
		b, err := x.record(e)
		if err != nil { // then it is made again
			return nil, nil, nil
		}
		entries, records = append(entries, e), append(records, b)
	}
	for _, p := range x.provided {
		if p.bin == n {
			provided = append(provided, p)
		}
	}
	return entries, records, provided
}

// factsMaker puts a facts file together, bin by bin in their order.
type factsMaker struct {
	bins    []factBin
	dir     []factEntry
	records []byte

	provided []factProvided
}

// add takes a bin over from what an older file has of it, or from the bin itself.
func (m *factsMaker) add(id, hash string, entries []factEntry, records [][]byte, provided []factProvided, x *bin) {
	var b factBin
	fmt.Sscanf(id, "%03x", &b.number)
	if raw, err := hex.DecodeString(hash); err == nil {
		copy(b.hash[:], raw)
	}
	if x != nil {
		for _, p := range x.Packages {
			entries, records = append(entries, factEntry{key: factKey(p.Name)}), append(records, encodeFacts(p))
			names := map[string]bool{}
			for _, v := range p.Versions {
				for name := range v.Provides {
					names[name] = len(name) < 256
				}
			}
			for _, name := range slices.Sorted(maps.Keys(names)) {
				provided = append(provided, factProvided{b.number, name, p.Name})
			}
		}
	}
	m.provided = append(m.provided, provided...)
	first := len(m.dir)
	for i, e := range entries {
		e.offset, e.length, e.crc = uint64(len(m.records)), uint32(len(records[i])), crc32.Checksum(records[i], castagnoli)
		m.dir = append(m.dir, e)
		m.records = append(m.records, records[i]...)
	}
	slices.SortStableFunc(m.dir[first:], func(a, b factEntry) int { return cmp.Compare(a.key, b.key) })
	b.packages = uint32(len(entries))
	m.bins = append(m.bins, b)
}

// grow makes room for about as much as an older file has.
func (m *factsMaker) grow(old *facts) {
	m.bins, m.dir = make([]factBin, 0, len(old.bins)+64), make([]factEntry, 0, len(old.dir)+1024)
	var size int
	for _, e := range old.dir {
		size += int(e.length)
	}
	m.records = make([]byte, 0, size+64<<10)
}

// file is all of it, the records apart, and the CRC of what stands before them.
func (m *factsMaker) file() (b, records []byte, crc uint32) {
	var provided []byte
	for _, p := range m.provided {
		provided = binary.LittleEndian.AppendUint16(provided, p.bin)
		provided = append(append(provided, byte(len(p.name))), p.name...)
		provided = append(append(provided, byte(len(p.from))), p.from...)
	}
	head := factsHead + len(m.bins)*factsBin + len(m.dir)*factsEntry + len(provided)
	b = make([]byte, 0, head)
	b = append(b, factsMagic...)
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(len(m.dir)))
	b = le.AppendUint32(b, uint32(len(m.bins)))
	b = le.AppendUint32(b, uint32(len(provided)))
	for _, x := range m.bins {
		b = le.AppendUint16(b, x.number)
		b = le.AppendUint32(b, x.packages)
		b = append(b, x.hash[:]...)
	}
	for _, e := range m.dir {
		b = le.AppendUint64(b, e.key)
		b = le.AppendUint64(b, e.offset+uint64(head))
		b = le.AppendUint32(b, e.length)
		b = le.AppendUint32(b, e.crc)
	}
	b = append(b, provided...)
	crc = crc32.Checksum(b, castagnoli)
	return b, m.records, crc
}

// A record has the name and the versions of a package. Strings are numbers of a
// table, numbers are unsigned LEB128:
//
//	strings   how many, the length of each, then all of them; the first is the name
//	versions  how many, each: version; digest, 32 bytes; yanked; requires; dependencies,
//	          conflicts, provides: lists of pairs; features: a list of name and list of
//	          pairs; variants: a list of digest and requires
//	requires  arch; release; config, btf, symbols, hooks: lists; abi
//
// String 0 stands for the empty one where that is meant, as no text is the name.
type factWriter struct {
	table map[string]uint64
	list  []string
	body  []byte
}

func (w *factWriter) num(n uint64) { w.body = binary.AppendUvarint(w.body, n) }

func (w *factWriter) text(s string) {
	if s == "" {
		w.num(0)
		return
	}
	n, ok := w.table[s]
	if !ok {
		n = uint64(len(w.list))
		w.table[s] = n
		w.list = append(w.list, s)
	}
	w.num(n)
}

func (w *factWriter) pairs(m map[string]string) {
	w.num(uint64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		w.text(k)
		w.text(m[k])
	}
}

func writeTexts[T ~string](w *factWriter, list []T) {
	w.num(uint64(len(list)))
	for _, s := range list {
		w.text(string(s))
	}
}

func (w *factWriter) digest(d string) {
	raw, err := hex.DecodeString(strings.TrimPrefix(d, "sha256:"))
	if err != nil || len(raw) != 32 {
		panic("index: a digest that was checked is none: " + d)
	}
	w.body = append(w.body, raw...)
}

func (w *factWriter) requires(r *manifest.Requirements) {
	w.text(r.Arch)
	w.text(r.Release)
	writeTexts(w, r.Config)
	writeTexts(w, r.BTF)
	writeTexts(w, r.Symbols)
	writeTexts(w, r.Hooks)
	w.num(uint64(r.ABI))
}

func encodeFacts(p *Package) []byte {
	w := &factWriter{table: map[string]uint64{}, list: []string{p.Name}}
	w.num(uint64(len(p.Versions)))
	for _, v := range p.Versions {
		w.text(v.Version)
		w.digest(v.Digest)
		w.text(v.Yanked)
		w.requires(&v.Requires)
		w.pairs(v.Dependencies)
		w.pairs(v.Conflicts)
		w.pairs(v.Provides)
		w.num(uint64(len(v.Features)))
		for _, k := range slices.Sorted(maps.Keys(v.Features)) {
			w.text(k)
			w.pairs(v.Features[k])
		}
		w.num(uint64(len(v.Variants)))
		for _, o := range v.Variants {
			w.digest(o.Digest)
			w.requires(&o.Requires)
		}
	}
	var out []byte
	out = binary.AppendUvarint(out, uint64(len(w.list)))
	for _, s := range w.list {
		out = binary.AppendUvarint(out, uint64(len(s)))
	}
	for _, s := range w.list {
		out = append(out, s...)
	}
	return append(out, w.body...)
}

type factReader struct {
	b    []byte
	list []string
	bad  bool
}

func (r *factReader) num() uint64 {
	n, k := binary.Uvarint(r.b)
	if k <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[k:]
	return n
}

// count is how many things follow, each of at least a byte.
func (r *factReader) count() int {
	n := r.num()
	if n > uint64(len(r.b)) {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *factReader) text() string {
	n := r.num()
	if n >= uint64(len(r.list)) {
		r.bad = true
		return ""
	}
	if n == 0 {
		return ""
	}
	return r.list[n]
}

func readTexts[T ~string](r *factReader) []T {
	n := r.count()
	if n == 0 {
		return nil
	}
	out := make([]T, n)
	for i := range out {
		out[i] = T(r.text())
	}
	return out
}

func (r *factReader) pairs() map[string]string {
	n := r.count()
	if n == 0 {
		return nil
	}
	out := make(map[string]string, n)
	for range n {
		k := r.text()
		out[k] = r.text()
	}
	return out
}

func (r *factReader) digest() string {
	if len(r.b) < sha256.Size {
		r.bad, r.b = true, nil
		return ""
	}
	var text [71]byte
	d := hex.AppendEncode(append(text[:0], "sha256:"...), r.b[:sha256.Size])
	r.b = r.b[sha256.Size:]
	return string(d)
}

func (r *factReader) requires(to *manifest.Requirements) {
	to.Arch, to.Release = r.text(), r.text()
	to.Config, to.BTF = readTexts[string](r), readTexts[string](r)
	to.Symbols, to.Hooks = readTexts[string](r), readTexts[manifest.Hook](r)
	to.ABI = int(r.num())
}

func decodeFacts(b []byte) (name string, versions []Version, err error) {
	r := &factReader{b: b}
	n := r.count()
	lengths := make([]int, n)
	total := 0
	for i := range lengths {
		lengths[i] = r.count()
		total += lengths[i]
	}
	if r.bad || n == 0 || total > len(r.b) {
		return "", nil, errDamaged
	}
	all := string(r.b[:total])
	r.b = r.b[total:]
	r.list = make([]string, n)
	for i, l := range lengths {
		r.list[i], all = all[:l], all[l:]
	}
	versions = make([]Version, r.count())
	for i := range versions {
		v := &versions[i]
		v.Version, v.Digest, v.Yanked = r.text(), r.digest(), r.text()
		r.requires(&v.Requires)
		v.Dependencies, v.Conflicts, v.Provides = r.pairs(), r.pairs(), r.pairs()
		for range r.count() {
			if v.Features == nil {
				v.Features = map[string]manifest.Relations{}
			}
			k := r.text()
			v.Features[k] = r.pairs()
		}
		for range r.count() {
			o := manifest.CandidateVariant{Digest: r.digest()}
			r.requires(&o.Requires)
			v.Variants = append(v.Variants, o)
		}
	}
	if r.bad || len(r.b) > 0 {
		return "", nil, errDamaged
	}
	return r.list[0], versions, nil
}
