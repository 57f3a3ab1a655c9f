// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// raw sends whole frames to the server through the interface that leads to it.
type raw struct {
	fd     int
	header []byte // Ethernet
	from   net.IP
	to     net.IP
}

func openRaw(server string) (*raw, error) {
	to, err := net.ResolveUDPAddr("udp4", server)
	if err != nil {
		return nil, err
	}
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, iface := range ifaces {
		addrs, err := iface.Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			network, ok := a.(*net.IPNet)
			if !ok || !network.Contains(to.IP) {
				continue
			}
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
			if err != nil {
				return nil, err
			}
			if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: iface.Index}); err != nil {
				return nil, err
			}
			// To everybody: the stack takes it, and bmc does not look.
			header := append([]byte{255, 255, 255, 255, 255, 255}, iface.HardwareAddr...)
			return &raw{fd, append(header, 8, 0), network.IP.To4(), to.IP.To4()}, nil
		}
	}
	return nil, fmt.Errorf("no interface leads to %s", server)
}

func (r *raw) packet(proto byte, l4 []byte) []byte {
	ip := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, proto, 0, 0}
	ip = append(append(ip, r.from...), r.to...)
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(l4)))
	var sum uint32
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum))
	return append(append(append([]byte{}, r.header...), ip...), l4...)
}

var fuzzTexts = []string{
	"get a\r\n", "get a b c\r\n", "set a 0 0 1\r\nx\r\n", "set a 0 60 1 noreply\r\nx\r\nflush_all 9\r\n",
	"ms a 1 T60\r\nx\r\nmg a T1\r\ngat 1 a b c\r\n", "\x80\x01\x00\x01\x08\x00\x00\x00\x00\x00\x00\x0a",
	"incr a 1\r\ndelete a\r\ntouch a 9\r\nquit\r\n",
}

func damage(rng *rand.Rand, b []byte, from int) []byte {
	for range rng.IntN(4) {
		at := from + rng.IntN(len(b)-from)
		switch rng.IntN(4) {
		case 0:
			b[at] = byte(rng.IntN(256))
		case 1:
			b[at] ^= 1 << rng.IntN(8)
		case 2:
			b = append(b[:at:at], append([]byte{"\r\n \x00gs\xff\x80"[rng.IntN(8)]}, b[at:]...)...)
		default:
			if at > 34 {
				b = b[:at]
			}
		}
		if len(b) <= from {
			break
		}
	}
	return b
}

// fuzz sends damaged frames and asks for an item now and then, whose value must
// stay what it is.
func fuzz(o options) (string, error) {
	r, err := openRaw(o.server)
	if err != nil {
		return "", err
	}
	defer unix.Close(r.fd)
	s, err := dial(o.server)
	if err != nil {
		return "", err
	}
	defer s.Close()
	a, err := dialUDP(o.server)
	if err != nil {
		return "", err
	}
	defer a.Close()
	rng := rand.New(rand.NewPCG(o.seed, 7))
	for n := range o.ops {
		text := []byte(fuzzTexts[rng.IntN(len(fuzzTexts))])
		ports := binary.BigEndian.AppendUint16(nil, uint16(20000+rng.IntN(64)))
		ports = binary.BigEndian.AppendUint16(ports, 11211)
		var frame []byte
		if rng.IntN(2) == 0 {
			frame = binary.BigEndian.AppendUint16(ports, uint16(16+len(text)))
			frame = append(frame, 0, 0, byte(rng.IntN(256)), byte(rng.IntN(256)), 0, 0, 0, 1, 0, 0)
			frame = r.packet(17, append(frame, text...))
		} else {
			frame = binary.BigEndian.AppendUint32(ports, uint32(rng.IntN(200)))
			frame = binary.BigEndian.AppendUint32(frame, rng.Uint32())
			frame = append(frame, 0x50, []byte{2, 16, 16, 16, 17, 4}[rng.IntN(6)], 1, 0, 0, 0, 0, 0)
			frame = r.packet(6, append(frame, text...))
		}
		frame = damage(rng, frame, []int{12, 14, 34, 42}[rng.IntN(4)])
		if _, err := unix.Write(r.fd, frame); err != nil && err != unix.ENOBUFS && err != unix.EINVAL {
			return "", err
		}
		if n%1000 != 999 {
			continue
		}
		// Damaged requests may change items named a; nobody names this one.
		value := fmt.Sprintf("value-%d", n)
		if _, err := fmt.Fprintf(s, "set fuzz:kept 0 0 %d\r\n%s\r\n", len(value), value); err != nil {
			return "", err
		}
		if line, err := s.line(); err != nil || line != "STORED" {
			return "", fmt.Errorf("after %d frames, set: %q, %w", n, line, err)
		}
		want := fmt.Sprintf("VALUE fuzz:kept 0 %d\r\n%s\r\nEND\r\n", len(value), value)
		for range 3 {
			got := ""
			for try := 0; try < 5 && got == ""; try++ {
				got, err = a.get("get fuzz:kept\r\n", 2*time.Second)
			}
			// A flush that got through takes it away.
			if err != nil || got != want && got != "END\r\n" {
				return "", fmt.Errorf("after %d frames: %q, %w", n, got, err)
			}
		}
	}
	return fmt.Sprintf("alive: %d frames", o.ops), nil
}
