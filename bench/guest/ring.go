// SPDX-License-Identifier: Apache-2.0

package main

import (
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ring is the pages of a ring buffer that say how far its two sides are.
type ring struct {
	consumer, producer []byte
}

// addRing maps the positions of a ring buffer, so that it can be emptied without
// reading it.
func (b *bench) addRing(m *ebpf.Map) error {
	page := unix.Getpagesize()
	c, err := unix.Mmap(m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	p, err := unix.Mmap(m.FD(), int64(page), page, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	b.rings = append(b.rings, ring{c, p})
	return nil
}

func (r ring) empty() {
	at := atomic.LoadUint64((*uint64)(unsafe.Pointer(&r.producer[0])))
	atomic.StoreUint64((*uint64)(unsafe.Pointer(&r.consumer[0])), at)
}
