// SPDX-License-Identifier: Apache-2.0

// Package frames has what the two measurements of bmc share, in a machine and on the host: the packets, the
// items, and how the pieces of the eBPF baseline are put together.
package frames

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
)

// Sizes of the items' data, bytes. The first gives the figures without a suffix.
var Sizes = []int{32, 256, 1024}

// Suffix is that of the figures of a size.
func Suffix(size int) string {
	if size == Sizes[0] {
		return ""
	}
	return fmt.Sprintf(".%d", size)
}

// Key is that of the item of a size; its length is that of a common key.
func Key(size int) string { return fmt.Sprintf("item:kept:%06d", size) }

// Mechanism is one that keeps an extension safe, and what leaves it out of the pass when that is built.
type Mechanism struct{ Name, Define string }

// Mechanisms are those whose cost is measured by building bmc without them. Stack checks are
// not among them: its depth is proven, so it has none.
var Mechanisms = []Mechanism{
	{"poll", "IU_BENCH_WITHOUT_POLLS"},
	{"panic", "IU_BENCH_WITHOUT_PANICS"},
	{"thunk", "IU_BENCH_WITHOUT_THUNKS"},
}

// Without is the name of bmc without a mechanism.
func Without(m Mechanism) string { return "bmc-without-" + m.Name + "s" }

// Verdicts of XDP.
const (
	XDPPass = 2
	XDPTx   = 3
)

// Get is a request for keys in an Ethernet frame.
func Get(keys ...string) []byte {
	return frame("get "+strings.Join(keys, " ")+"\r\n", []byte{10, 1, 0, 2, 10, 1, 0, 1}, []byte{0x9c, 0x40, 0x2b, 0xcb})
}

// Reply is memcached's answer to it.
func Reply(key, data string) []byte {
	return frame(fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\nEND\r\n", key, len(data), data),
		[]byte{10, 1, 0, 1, 10, 1, 0, 2}, []byte{0x2b, 0xcb, 0x9c, 0x40})
}

func frame(text string, addresses, ports []byte) []byte {
	udp := binary.BigEndian.AppendUint16(slices.Clone(ports), uint16(8+8+len(text)))
	udp = append(append(udp, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0), text...)
	ip := append([]byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0}, addresses...)
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(udp)))
	var sum uint32
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum))
	return slices.Concat([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0}, ip, udp)
}

// TieBaseline puts the pieces of the baseline where its tail calls find them.
func TieBaseline(c *ebpf.Collection) error {
	for i, name := range []string{"hash_key", "write_one", "collect", "write_all", "scan", "forget"} {
		if err := c.Maps["pieces"].Put(uint32(i), c.Programs[name]); err != nil {
			return err
		}
	}
	return c.Maps["pieces_tc"].Put(uint32(0), c.Programs["update"])
}
