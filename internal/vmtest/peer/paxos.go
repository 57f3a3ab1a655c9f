// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
)

// Messages of extensions/quorum (src/wire.rs).
const (
	paxosMagic  = 0x69755058
	paxosAccept = 1
	paxosAck    = 2
	paxosHeader = 24
	paxosBallot = 1
)

type paxosMessage struct {
	kind, node   byte
	ballot, slot uint64
	value        []byte
}

func (m paxosMessage) bytes() []byte {
	b := binary.BigEndian.AppendUint32(nil, paxosMagic)
	b = append(b, m.kind, m.node, 0, 0)
	b = binary.BigEndian.AppendUint64(b, m.ballot)
	b = binary.BigEndian.AppendUint64(b, m.slot)
	return append(b, m.value...)
}

func parsePaxos(b []byte) (paxosMessage, error) {
	if len(b) < paxosHeader || binary.BigEndian.Uint32(b) != paxosMagic {
		return paxosMessage{}, errors.New("no message")
	}
	return paxosMessage{b[4], b[5], binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:]), b[paxosHeader:]}, nil
}

// paxosReplica is a replica in user space: it accepts the ballot and acknowledges.
func paxosReplica(addr string, args []string) error {
	node, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	c, err := net.ListenPacket("udp4", addr)
	if err != nil {
		return err
	}
	buf := make([]byte, 2048)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return err
		}
		if m, err := parsePaxos(buf[:n]); err == nil && m.kind == paxosAccept && m.ballot == paxosBallot {
			m.kind, m.node, m.value = paxosAck, byte(node), nil
			if _, err := c.WriteTo(m.bytes(), from); err != nil {
				return err
			}
		}
	}
}

// paxosLead decides N slots, one after the other, with these replicas; it asks again if no acknowledgment
// comes, as many of which must come for each slot as WANT says.
func paxosLead(addr string, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	want, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	c, err := net.ListenPacket("udp4", addr)
	if err != nil {
		return err
	}
	var replicas []net.Addr
	for _, r := range args[2:] {
		to, err := net.ResolveUDPAddr("udp4", r)
		if err != nil {
			return err
		}
		replicas = append(replicas, to)
	}
	heard, asked := 0, 0
	buf := make([]byte, 2048)
	for slot := range n {
		m := paxosMessage{kind: paxosAccept, ballot: paxosBallot, slot: uint64(slot), value: fmt.Appendf(nil, "value %d", slot)}
		acks := 0
		for try := 0; acks < want; try++ {
			if try == 8 {
				return fmt.Errorf("slot %d: %d acknowledgments", slot, acks)
			}
			asked++
			for _, to := range replicas {
				if _, err := c.WriteTo(m.bytes(), to); err != nil {
					return err
				}
			}
			if err := c.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
				return err
			}
			for acks < want {
				n, _, err := c.ReadFrom(buf)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					break
				} else if err != nil {
					return err
				}
				heard++
				if got, err := parsePaxos(buf[:n]); err == nil && got.kind == paxosAck && got.slot == uint64(slot) {
					acks++
				}
			}
		}
	}
	// What comes late is heard, too.
	if err := c.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		return err
	}
	for {
		if _, _, err := c.ReadFrom(buf); err != nil {
			break
		}
		heard++
	}
	fmt.Println("decided", n, "heard", heard, "repeated", asked-n)
	return nil
}

// paxosLog reads what the kernel has accepted: the pinned ring buffer to its end.
func paxosLog(path string, _ []string) error {
	m, err := ebpf.LoadPinnedMap(path, nil)
	if err != nil {
		return err
	}
	r, err := ringbuf.NewReader(m)
	if err != nil {
		return err
	}
	defer r.Close()
	r.SetDeadline(time.Now().Add(time.Second))
	var values []string
	for {
		rec, err := r.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		} else if err != nil {
			return err
		}
		got, err := parsePaxos(rec.RawSample)
		if err != nil {
			return err
		}
		if string(got.value) != fmt.Sprintf("value %d", len(values)) || got.slot != uint64(len(values)) {
			return fmt.Errorf("slot %d has %q, entry %d of the log", got.slot, got.value, len(values))
		}
		values = append(values, string(got.value))
	}
	fmt.Println("logged", len(values), strings.Join(values[max(0, len(values)-1):], ""))
	return nil
}
