// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const devicePath = "/dev/iu"

// Device is an open /dev/iu. What was made through it and not committed goes
// away when it is closed. Its methods may be called at the same time.
type Device struct{ f *os.File }

// OpenDevice opens /dev/iu and checks that it speaks this package's UAPI.
func OpenDevice() (*Device, error) {
	f, err := os.OpenFile(devicePath, os.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return nil, ErrNoRuntime
	case err != nil:
		return nil, err
	}
	d := &Device{f}
	v, err := d.Version()
	if err == nil && (v.UAPI != UAPIVersion || v.ABI != ABIVersion) {
		err = fmt.Errorf("the loaded runtime has UAPI %d and object ABI %d, this iupkg has %d and %d", v.UAPI, v.ABI, UAPIVersion, ABIVersion)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return d, nil
}

// Close gives the device back, and with it all that was not committed.
func (d *Device) Close() error { return d.f.Close() }

// ioctl calls with a structure whose first field is its size.
func ioctl[T any](d *Device, req uintptr, arg *T) error {
	*(*uint32)(unsafe.Pointer(arg)) = uint32(unsafe.Sizeof(*arg))
	return d.call(req, unsafe.Pointer(arg))
}

func (d *Device) call(req uintptr, arg unsafe.Pointer) error {
	conn, err := d.f.SyscallConn()
	if err != nil {
		return err
	}
	var errno unix.Errno
	err = conn.Control(func(fd uintptr) {
		for {
			if _, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, req, uintptr(arg)); errno != unix.EINTR {
				return
			}
		}
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}

// address of the first byte, which stays where it is until the pinner lets go.
func address[T any](p *runtime.Pinner, b []T) uint64 {
	if len(b) == 0 {
		return 0
	}
	p.Pin(&b[0])
	return uint64(uintptr(unsafe.Pointer(&b[0])))
}

// Version describes the loaded runtime.
type Version struct {
	UAPI, ABI  int
	Sealed     bool   // no more keys until reboot
	Keys       int    // certificates in the keyring
	Harvested  []Hook // hooks whose helpers are known
	Hooks      []Hook // hooks that this kernel lets stubs call the runtime at
	StackBytes uint64 // stacks of all CPUs
}

// Version asks the runtime what it is.
func (d *Device) Version() (*Version, error) {
	var a uapiVersion
	if err := ioctl(d, iocVersion, &a); err != nil {
		return nil, fmt.Errorf("version of the runtime: %w", err)
	}
	v := &Version{UAPI: int(a.UAPI), ABI: int(a.ABI), Sealed: a.Sealed != 0, Keys: int(a.Keys), StackBytes: a.StackBytes}
	for h := HookXDP; h < hookMax; h++ {
		if a.Harvested&(1<<h) != 0 {
			v.Harvested = append(v.Harvested, h)
		}
		if a.Hooks&(1<<h) != 0 {
			v.Hooks = append(v.Hooks, h)
		}
	}
	return v, nil
}

// AddKey adds a certificate, X.509 in DER, to the runtime's keyring.
func (d *Device) AddKey(der []byte) error {
	if len(der) == 0 || len(der) > uapiMaxCert {
		return fmt.Errorf("certificate of %d bytes: want 1 to %d", len(der), uapiMaxCert)
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	a := uapiKey{Len: uint32(len(der)), Data: address(&pin, der)}
	err := ioctl(d, iocKeyAdd, &a)
	return refused("add a key to the kernel", goString(a.Msg[:]), err)
}

// Seal closes the keyring until the next boot.
func (d *Device) Seal() error {
	return refused("seal the kernel's keyring", "", d.call(iocKeySeal, nil))
}

// Harvest tells the runtime the helpers of a hook from a verified program.
func (d *Device) Harvest(hook Hook, progFD int) error {
	a := uapiHarvest{Hook: uint32(hook), FD: int32(progFD)}
	return refused("harvest the helpers of "+hook.String(), "", ioctl(d, iocHarvest, &a))
}

// Section says where the module loader put one section of the object.
type Section struct {
	Index int
	Addr  uint64
}

// Load makes an extension of a module that Wrap made and the kernel has mapped.
// Its number is what the other calls take.
func (d *Device) Load(module string, object, signature []byte, sections []Section) (uint32, error) {
	if len(module) >= uapiModnameLen || len(object) == 0 || len(object) > maxObject || len(signature) > uapiMaxSig {
		return 0, fmt.Errorf("load %s: object of %d bytes, signature of %d: beyond what the runtime takes", module, len(object), len(signature))
	}
	raw := make([]uapiSection, len(sections))
	for i, s := range sections {
		raw[i] = uapiSection{Index: uint32(s.Index), Addr: s.Addr}
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	a := uapiLoad{
		Object: address(&pin, object), ObjectLen: uint32(len(object)),
		Signature: address(&pin, signature), SignatureLen: uint32(len(signature)),
		Sections: address(&pin, raw), NSections: uint32(len(raw)),
	}
	copy(a.Module[:], module)
	err := ioctl(d, iocLoad, &a)
	return a.ID, refused("load extension", goString(a.Msg[:]), err)
}

// Bind gives the extension's map number index a BPF map.
func (d *Device) Bind(id uint32, index, fd int) error {
	a := uapiBind{ID: id, Map: uint32(index), FD: int32(fd)}
	err := ioctl(d, iocBind, &a)
	return refused(fmt.Sprintf("bind map %d", index), goString(a.Msg[:]), err)
}

// SetKReloc tells the extension's kernel relocation number index what it is here.
func (d *Device) SetKReloc(id uint32, index int, v KRelocValue) error {
	a := uapiSetKreloc{ID: id, Kreloc: uint32(index), Offset: v.Offset, Bytes: v.Size, Bits: v.Bits, Value: v.Value}
	if v.Exists {
		a.Exists = 1
	}
	return refused(fmt.Sprintf("set kernel relocation %d", index), "", ioctl(d, iocSetKreloc, &a))
}

// SetParam sets the extension's parameter number index.
func (d *Device) SetParam(id uint32, index int, value uint64) error {
	a := uapiSetParam{ID: id, Param: uint32(index), Value: value}
	return refused(fmt.Sprintf("set parameter %d", index), "", ioctl(d, iocSetParam, &a))
}

// NewSlot makes a slot of a hook; its number is what a stub carries.
func (d *Device) NewSlot(hook Hook) (uint32, error) {
	a := uapiSlotNew{Hook: uint32(hook)}
	err := ioctl(d, iocSlotNew, &a)
	return a.Slot, refused("make a slot for "+hook.String(), "", err)
}

// Attachment puts a program into a slot.
type Attachment struct {
	Slot      uint32
	ID        uint32        // extension
	Program   int           // index in the object's table
	MaxFaults uint32        // how many it may have; 0: any number
	Window    time.Duration // 0: disabled after so many; else paused when so many came in so long
	Budget    time.Duration // of one run; 0: the runtime's default
}

// Attach puts programs into slots, all or none, each replacing what was there.
func (d *Device) Attach(items []Attachment) error {
	if len(items) == 0 {
		return nil
	}
	if len(items) > uapiMaxAttach {
		return fmt.Errorf("attach %d programs at once: at most %d", len(items), uapiMaxAttach)
	}
	raw := make([]uapiAttachOne, len(items))
	for i, t := range items {
		raw[i] = uapiAttachOne{Slot: t.Slot, ID: t.ID, Prog: uint32(t.Program), MaxFaults: t.MaxFaults, BudgetNS: uint64(t.Budget), WindowNS: uint64(t.Window)}
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	a := uapiAttach{Count: uint32(len(raw)), Items: address(&pin, raw)}
	return refused("put programs into slots", "", ioctl(d, iocAttach, &a))
}

func (d *Device) byID(op string, req uintptr, id uint32) error {
	a := uapiID{ID: id}
	return refused(fmt.Sprintf("%s %d", op, id), "", ioctl(d, req, &a))
}

// Detach empties a slot; it then gives its hook's default verdict.
func (d *Device) Detach(slot uint32) error { return d.byID("empty slot", iocDetach, slot) }

// FreeSlot gives a slot back.
func (d *Device) FreeSlot(slot uint32) error { return d.byID("free slot", iocSlotFree, slot) }

// Unload ends an extension that is in no slot.
func (d *Device) Unload(id uint32) error { return d.byID("unload extension", iocUnload, id) }

// Commit keeps what was made through this device when it is closed.
func (d *Device) Commit() error { return refused("commit", "", d.call(iocCommit, nil)) }

// Extension is what the runtime knows of a loaded extension.
type Extension struct {
	ID                     uint32
	Name, Version, Module  string
	Digest                 [32]byte // SHA-256 of the object
	Programs, Maps, Params int
	Committed              bool
	ImageBytes             uint64 // memory of the module
	Signer                 string // "SUBJECT: SERIAL" of the certificate whose key signed it
}

// Extensions goes over the loaded extensions by their numbers.
func (d *Device) Extensions() iter.Seq2[*Extension, error] {
	return func(yield func(*Extension, error) bool) {
		for start := uint32(0); ; {
			a := uapiExtInfo{Start: start}
			err := ioctl(d, iocExtInfo, &a)
			if errors.Is(err, unix.ENOENT) {
				return
			}
			if err != nil {
				yield(nil, fmt.Errorf("list extensions: %w", err))
				return
			}
			x := &Extension{
				ID: a.ID, Name: goString(a.Name[:]), Version: goString(a.Version[:]), Module: goString(a.Module[:]), Digest: a.Digest,
				Programs: int(a.Progs), Maps: int(a.Maps), Params: int(a.Params), Committed: a.Committed != 0, ImageBytes: a.ImageBytes,
				Signer: goString(a.Signer[:]),
			}
			if !yield(x, nil) || a.ID == ^uint32(0) {
				return
			}
			start = a.ID + 1
		}
	}
}

// Timing switches the timing of an extension's runs on or off. It costs each run
// two looks at the clock.
func (d *Device) Timing(id uint32, on bool) error {
	a := uapiTiming{ID: id}
	if on {
		a.On = 1
	}
	return refused(fmt.Sprintf("time extension %d", id), "", ioctl(d, iocTiming, &a))
}

func (d *Device) progInfo(id uint32, index int) (*uapiProgInfo, error) {
	a := &uapiProgInfo{ID: id, Prog: uint32(index)}
	if err := ioctl(d, iocProgInfo, a); err != nil {
		return nil, fmt.Errorf("program %d of extension %d: %w", index, id, err)
	}
	return a, nil
}
