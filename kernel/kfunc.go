// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// cilium/ebpf resolves a kfunc by decoding all types of vmlinux, again for
// every program: seconds on a slow machine, and most of the memory of a load.
// A stub calls one kfunc of one module, so this file finds the number of that
// one type by a walk over the raw BTF, and loads the program itself.
// See https://docs.kernel.org/bpf/btf.html

// kfunc is a function of a module that a BPF program may call.
type kfunc struct {
	btf *btf.Handle // of the module
	id  uint32      // of the function
}

// findKfunc looks a function up in the BTF of a loaded module.
func findKfunc(module, name string) (*kfunc, error) {
	base, err := kernelBTF()
	if err != nil {
		return nil, fmt.Errorf("BTF of the kernel: %w", err)
	}
	split, err := os.ReadFile(filepath.Join("/sys/kernel/btf", module))
	if err != nil {
		return nil, fmt.Errorf("BTF of module %s: %w", module, err)
	}
	id, err := base.splitFunc(split, name)
	if err != nil {
		return nil, fmt.Errorf("BTF of module %s: %w", module, err)
	}
	h, err := moduleHandle(module)
	if err != nil {
		return nil, fmt.Errorf("BTF of module %s: %w", module, err)
	}
	return &kfunc{h, id}, nil
}

// handles has the number of the BTF of each module that was asked for: finding it goes
// through all there are.
var handles sync.Map

// moduleHandle opens the BTF of a loaded module.
func moduleHandle(module string) (*btf.Handle, error) {
	is := func(info *btf.HandleInfo) bool { return info.IsKernel && info.Name == module }
	if id, known := handles.Load(module); known {
		h, err := btf.NewHandleFromID(id.(btf.ID))
		if err == nil {
			if info, err := h.Info(); err == nil && is(info) {
				return h, nil
			}
			h.Close() // the module was loaded again
		}
	}
	h, err := btf.FindHandle(is)
	if err != nil {
		return nil, err
	}
	if info, err := h.Info(); err == nil {
		handles.Store(module, info.ID)
	}
	return h, nil
}

const (
	btfHeaderSize  = 24
	btfTypeSize    = 12
	btfKindTypedef = 8
	btfKindFunc    = 12
)

// btfExtra is the size of what follows a type of each kind: each of its
// members, and once.
var btfExtra = [...]struct{ each, once int }{
	1: {once: 4}, 2: {}, 3: {once: 12}, 4: {each: 12}, 5: {each: 12}, 6: {each: 8}, 7: {}, 8: {}, 9: {}, 10: {}, 11: {},
	btfKindFunc: {}, 13: {each: 8}, 14: {once: 4}, 15: {each: 12}, 16: {}, 17: {once: 4}, 18: {}, 19: {each: 12},
}

// btfSections cuts raw BTF into types and strings.
func btfSections(raw []byte) (types, strs []byte, err error) {
	if len(raw) < btfHeaderSize || binary.LittleEndian.Uint16(raw) != 0xeb9f {
		return nil, nil, errors.New("not BTF")
	}
	field := func(i int) uint64 { return uint64(binary.LittleEndian.Uint32(raw[i:])) }
	cut := func(off, size uint64) []byte {
		off += field(4)
		if off > uint64(len(raw)) || size > uint64(len(raw))-off {
			return nil
		}
		return raw[off : off+size]
	}
	types, strs = cut(field(8), field(12)), cut(field(16), field(20))
	if types == nil || strs == nil {
		return nil, nil, errors.New("sections lie beyond the end")
	}
	return types, strs, nil
}

// walkTypes calls visit with kind and name of each type, in the order of their
// numbers, and returns how many there are.
func walkTypes(types []byte, visit func(kind int, name uint32)) (int, error) {
	n := 0
	for len(types) >= btfTypeSize {
		info := binary.LittleEndian.Uint32(types[4:])
		kind, members := int(info>>24&0x1f), int(info&0xffff)
		if kind == 0 || kind >= len(btfExtra) {
			return 0, fmt.Errorf("type %d has the unknown kind %d", n+1, kind)
		}
		size := btfTypeSize + btfExtra[kind].once + members*btfExtra[kind].each
		if size > len(types) {
			break
		}
		if visit != nil {
			visit(kind, binary.LittleEndian.Uint32(types))
		}
		types = types[size:]
		n++
	}
	if len(types) != 0 {
		return 0, fmt.Errorf("type %d is cut short", n+1)
	}
	return n, nil
}

// btfBase is what of a base the BTF that is split from it needs to know.
type btfBase struct {
	types   int // how many
	strings int // bytes
}

// kernelBTF is of the running kernel, which has the same for as long as it runs: counting
// its types means to read all of them, so that is done once in a boot.
var kernelBTF = sync.OnceValues(func() (btfBase, error) { return bootBTF(vmlinuxBTF, runDir, BootID()) })

// runDir keeps what holds until the next boot.
const runDir = "/run/iupkg"

// bootBTF is the base of the BTF in a file: as it was kept in dir for this boot, if the
// file's header is the same.
func bootBTF(file, dir, boot string) (btfBase, error) {
	// Another way of counting has another name for Types.
	type kept struct {
		Boot   string `json:"boot"`
		Header []byte `json:"header"`
		Types  int    `json:"types"`
	}
	f, err := os.Open(file)
	if err != nil {
		return btfBase{}, err
	}
	defer f.Close()
	head := make([]byte, btfHeaderSize)
	if _, err := io.ReadFull(f, head); err != nil {
		return btfBase{}, err
	}
	path := filepath.Join(dir, "btf.json")
	var k kept
	if b, err := os.ReadFile(path); err == nil && json.Unmarshal(b, &k) == nil &&
		boot != "" && k.Boot == boot && bytes.Equal(k.Header, head) && k.Types > 0 {
		return btfBase{k.Types, int(binary.LittleEndian.Uint32(head[20:]))}, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return btfBase{}, err
	}
	base, err := newBTFBase(raw)
	if err != nil {
		return btfBase{}, err
	}
	// That it cannot be kept, as by who is not root, only costs time.
	if b, err := json.Marshal(kept{boot, head, base.types}); err == nil && os.MkdirAll(dir, 0o755) == nil {
		tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
		if os.WriteFile(tmp, b, 0o644) != nil || os.Rename(tmp, path) != nil {
			os.Remove(tmp)
		}
	}
	return base, nil
}

// BootID tells boots apart; empty: it could not be told.
func BootID() string { return readLine("/proc/sys/kernel/random/boot_id") }

func newBTFBase(raw []byte) (btfBase, error) {
	types, strs, err := btfSections(raw)
	if err != nil {
		return btfBase{}, fmt.Errorf("base: %w", err)
	}
	n, err := walkTypes(types, nil)
	if err != nil {
		return btfBase{}, fmt.Errorf("base: %w", err)
	}
	return btfBase{n, len(strs)}, nil
}

// splitFunc finds the number of a function in split BTF: numbers and string
// offsets go on where those of the base end.
func (b btfBase) splitFunc(split []byte, name string) (uint32, error) {
	types, strs, err := btfSections(split)
	if err != nil {
		return 0, err
	}
	id, found := b.types, 0
	_, err = walkTypes(types, func(kind int, off uint32) {
		id++
		if kind != btfKindFunc || uint64(off) < uint64(b.strings) {
			return
		}
		if s, err := cString(strs, off-uint32(b.strings)); err == nil && s == name {
			found = id
		}
	})
	if err != nil {
		return 0, err
	}
	if found == 0 {
		return 0, fmt.Errorf("no function %s", name)
	}
	return uint32(found), nil
}

// progLoad is union bpf_attr of BPF_PROG_LOAD up to fd_array (linux/bpf.h).
type progLoad struct {
	progType           uint32
	insnCnt            uint32
	insns              uint64
	license            uint64
	logLevel           uint32
	logSize            uint32
	logBuf             uint64
	kernVersion        uint32
	progFlags          uint32
	name               [16]byte
	ifindex            uint32
	expectedAttachType uint32
	btfFD              uint32
	funcInfoRecSize    uint32
	funcInfo           uint64
	funcInfoCnt        uint32
	lineInfoRecSize    uint32
	lineInfo           uint64
	lineInfoCnt        uint32
	attachBTFID        uint32
	attachFD           uint32
	coreReloCnt        uint32
	fdArray            uint64
}

// loadCaller loads a program whose only kfunc call becomes a call of k; to is
// the function that it attaches to, of programs that have their target from
// the start.
func loadCaller(spec *ebpf.ProgramSpec, k *kfunc, to *btfTarget) (*ebpf.Program, error) {
	if err := fixJumps(spec.Instructions); err != nil {
		return nil, err
	}
	found := 0
	for i := range spec.Instructions {
		if in := &spec.Instructions[i]; in.IsKfuncCall() {
			in.Constant, in.Offset = int64(k.id), 1 // entry 1 of fd_array; 0 stands for vmlinux
			found++
		}
	}
	if found != 1 {
		return nil, fmt.Errorf("program %s calls %d kfuncs", spec.Name, found)
	}
	return loadProgram(spec, k, to)
}

// loadProgram loads a program; k is nil if it calls no kfunc.
func loadProgram(spec *ebpf.ProgramSpec, k *kfunc, to *btfTarget) (*ebpf.Program, error) {
	var code bytes.Buffer
	if err := spec.Instructions.Marshal(&code, binary.LittleEndian); err != nil {
		return nil, err
	}
	insns, license, fds := code.Bytes(), []byte(spec.License+"\x00"), []int32{0, 0}
	if k != nil {
		fds[1] = int32(k.btf.FD())
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	attr := &progLoad{
		progType: uint32(spec.Type), insnCnt: uint32(len(insns) / asm.InstructionSize), insns: address(&pin, insns),
		license: address(&pin, license), expectedAttachType: uint32(spec.AttachType), fdArray: address(&pin, fds),
		progFlags: spec.Flags,
	}
	copy(attr.name[:15], spec.Name)
	if to != nil {
		attr.attachBTFID = to.id
		if to.obj != nil {
			attr.attachFD = uint32(to.obj.FD())
		}
	}
	fd, errno := bpfProgLoad(attr)
	if errno != 0 {
		log := make([]byte, 64<<10)
		attr.logLevel, attr.logSize, attr.logBuf = 1, uint32(len(log)), address(&pin, log)
		if fd2, errno2 := bpfProgLoad(attr); errno2 == 0 {
			unix.Close(fd2)
		}
		return nil, refused("load program "+spec.Name, verdict(goString(log)), errno)
	}
	runtime.KeepAlive(k)
	runtime.KeepAlive(to)
	return ebpf.NewProgramFromFD(fd)
}

// fixJumps puts distances for the symbols that jumps refer to. No instruction
// of a stub takes two places.
func fixJumps(ins asm.Instructions) error {
	at := map[string]int{}
	for i := range ins {
		if s := ins[i].Symbol(); s != "" {
			at[s] = i
		}
	}
	for i := range ins {
		ref := ins[i].Reference()
		if ref == "" || ins[i].OpCode.Class() != asm.JumpClass || ins[i].OpCode.JumpOp() == asm.Call {
			continue
		}
		to, ok := at[ref]
		if !ok {
			return fmt.Errorf("a jump to %s, which is nowhere", ref)
		}
		ins[i].Offset = int16(to - i - 1)
	}
	return nil
}

func bpfProgLoad(attr *progLoad) (int, unix.Errno) {
	for {
		fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
		if errno != unix.EAGAIN && errno != unix.EINTR {
			return int(fd), errno
		}
	}
}

// verdict is the line of the verifier's log that says why: the last before its
// statistics.
func verdict(log string) string {
	why := ""
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "processed ") {
			why = line
		}
	}
	return why
}
