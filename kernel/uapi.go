// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"unsafe"
)

// Mirror of kernel/module/iu_uapi.h, which says what every field means.
const (
	UAPIVersion = 1

	uapiNameLen    = 32
	uapiPkgLen     = 64
	uapiModnameLen = 56
	uapiMsgLen     = 256
	uapiMaxSig     = 64 << 10
	uapiMaxCert    = 16 << 10
	uapiMaxAttach  = 64
	uapiCauses     = 8
	uapiSignerLen  = 96
	uapiChainMax   = 8

	// noSlot is iu_prog_info.slot of a program that is in no slot.
	noSlot = ^uint32(0)
)

// Cause is enum iu_cause: why a run was ended.
type Cause uint32

// Causes of a fault.
const (
	CausePanic   Cause = 0
	CauseStack   Cause = 1
	CauseBudget  Cause = 2
	CauseLock    Cause = 3
	CauseNesting Cause = 4
	CauseLeak    Cause = 5
)

var causeNames = []string{"panic", "stack", "budget", "lock", "nesting", "leak"}

// String is the cause's name in messages and JSON.
func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return fmt.Sprintf("cause(%d)", uint32(c))
}

// enum iu_stopped.
const (
	uapiRunning  = 0
	uapiDisabled = 1
	uapiPaused   = 2
)

type uapiVersion struct {
	Size       uint32
	UAPI       uint32
	ABI        uint32
	Sealed     uint32
	Keys       uint32
	Harvested  uint32
	StackBytes uint64
	Hooks      uint32
	Reserved0  uint32
	Reserved   uint64
}

type uapiKey struct {
	Size uint32
	Len  uint32
	Data uint64
	Msg  [uapiMsgLen]byte
}

type uapiSection struct {
	Index    uint32
	Reserved uint32
	Addr     uint64
}

type uapiLoad struct {
	Size         uint32
	ID           uint32
	Module       [uapiModnameLen]byte
	Object       uint64
	Signature    uint64
	Sections     uint64
	ObjectLen    uint32
	SignatureLen uint32
	NSections    uint32
	Reserved     uint32
	Msg          [uapiMsgLen]byte
}

type uapiBind struct {
	Size uint32
	ID   uint32
	Map  uint32
	FD   int32
	Msg  [uapiMsgLen]byte
}

type uapiSetParam struct {
	Size     uint32
	ID       uint32
	Param    uint32
	Reserved uint32
	Value    uint64
}

type uapiSetKreloc struct {
	Size     uint32
	ID       uint32
	Kreloc   uint32
	Exists   uint32
	Offset   uint32
	Bytes    uint32
	Bits     uint32
	Reserved uint32
	Value    uint64
}

type uapiSlotNew struct {
	Size     uint32
	Hook     uint32
	Slot     uint32
	Reserved uint32
}

type uapiAttachOne struct {
	Slot      uint32
	ID        uint32
	Prog      uint32
	MaxFaults uint32
	BudgetNS  uint64
	WindowNS  uint64
}

type uapiAttach struct {
	Size  uint32
	Count uint32
	Items uint64
}

type uapiID struct {
	Size uint32
	ID   uint32
}

type uapiExtInfo struct {
	Size       uint32
	Start      uint32
	ID         uint32
	Progs      uint32
	Maps       uint32
	Params     uint32
	Committed  uint32
	Reserved   uint32
	Digest     [32]byte
	Name       [uapiPkgLen]byte
	Version    [uapiPkgLen]byte
	Module     [uapiModnameLen]byte
	ImageBytes uint64
	Signer     [uapiSignerLen]byte
}

type uapiProgInfo struct {
	Size       uint32
	ID         uint32
	Prog       uint32
	Hook       uint32
	Name       [uapiNameLen]byte
	Flags      uint32
	Stack      uint32
	OnFault    int32
	Slot       uint32
	Disabled   uint32
	MaxFaults  uint32
	BudgetNS   uint64
	Runs       uint64
	Faults     [uapiCauses]uint64
	LastNS     uint64
	LastCause  uint32
	LastCPU    uint32
	LastOffset uint64
	LastLine   uint32
	LastCol    uint32
	LastFile   [64]byte
	WindowNS   uint64
	Skipped    uint64
	NS         uint64
	Timing     uint32
	LastCalls  uint32
	LastChain  [uapiChainMax]uint32
}

type uapiTiming struct {
	Size     uint32
	ID       uint32
	On       uint32
	Reserved uint32
}

type uapiHarvest struct {
	Size     uint32
	Hook     uint32
	FD       int32
	Reserved uint32
}

// ioctl numbers of the asm-generic encoding: direction, size, type, number.
const (
	ioVoid = uintptr('U') << 8
	ioBoth = ioVoid | 3<<30

	iocVersion   = ioBoth | unsafe.Sizeof(uapiVersion{})<<16 | 0x00
	iocKeyAdd    = ioBoth | unsafe.Sizeof(uapiKey{})<<16 | 0x01
	iocKeySeal   = ioVoid | 0x02
	iocHarvest   = ioBoth | unsafe.Sizeof(uapiHarvest{})<<16 | 0x03
	iocLoad      = ioBoth | unsafe.Sizeof(uapiLoad{})<<16 | 0x10
	iocBind      = ioBoth | unsafe.Sizeof(uapiBind{})<<16 | 0x11
	iocSetParam  = ioBoth | unsafe.Sizeof(uapiSetParam{})<<16 | 0x12
	iocSetKreloc = ioBoth | unsafe.Sizeof(uapiSetKreloc{})<<16 | 0x15
	iocUnload    = ioBoth | unsafe.Sizeof(uapiID{})<<16 | 0x13
	iocCommit    = ioVoid | 0x14
	iocSlotNew   = ioBoth | unsafe.Sizeof(uapiSlotNew{})<<16 | 0x20
	iocSlotFree  = ioBoth | unsafe.Sizeof(uapiID{})<<16 | 0x21
	iocAttach    = ioBoth | unsafe.Sizeof(uapiAttach{})<<16 | 0x22
	iocDetach    = ioBoth | unsafe.Sizeof(uapiID{})<<16 | 0x23
	iocExtInfo   = ioBoth | unsafe.Sizeof(uapiExtInfo{})<<16 | 0x30
	iocProgInfo  = ioBoth | unsafe.Sizeof(uapiProgInfo{})<<16 | 0x31
	iocTiming    = ioBoth | unsafe.Sizeof(uapiTiming{})<<16 | 0x32
)
