// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

const patience = 20 * time.Second

// stream is a TCP connection to memcached.
type stream struct {
	net.Conn
	in *bufio.Reader
}

func dial(addr string) (*stream, error) {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	return &stream{c, bufio.NewReaderSize(c, 1<<16)}, nil
}

// line reads one line without its end.
func (s *stream) line() (string, error) {
	if err := s.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	text, err := s.in.ReadString('\n')
	return strings.TrimSuffix(text, "\r\n"), err
}

// reply reads one whole reply: a line, or values and what ends them.
func (s *stream) reply() (string, error) {
	var all strings.Builder
	for {
		line, err := s.line()
		if err != nil {
			return "", err
		}
		all.WriteString(line + "\n")
		words := strings.Fields(line)
		size := -1
		switch {
		case len(words) >= 4 && words[0] == "VALUE":
			size, err = strconv.Atoi(words[3])
		case len(words) >= 2 && words[0] == "VA":
			size, err = strconv.Atoi(words[1])
		default:
			return all.String(), nil
		}
		if err != nil {
			return "", fmt.Errorf("malformed reply %q", line)
		}
		data := make([]byte, size+2)
		if _, err := io.ReadFull(s.in, data); err != nil {
			return "", err
		}
		all.Write(data)
		if words[0] == "VA" {
			return all.String(), nil
		}
	}
}

// asker asks over UDP.
type asker struct {
	net.Conn
	next uint16
	buf  [65536]byte
}

func dialUDP(addr string) (*asker, error) {
	c, err := net.Dial("udp", addr)
	if err != nil {
		return nil, err
	}
	return &asker{Conn: c}, nil
}

var errLost = errors.New("no reply")

func (a *asker) send(text string) (uint16, error) {
	a.next++
	frame := binary.BigEndian.AppendUint16(nil, a.next)
	frame = append(frame, 0, 0, 0, 1, 0, 0)
	_, err := a.Write(append(frame, text...))
	return a.next, err
}

// receive waits for one datagram and returns its request's number and text.
func (a *asker) receive(wait time.Duration) (uint16, string, error) {
	if err := a.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return 0, "", err
	}
	n, err := a.Read(a.buf[:])
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, "", errLost
	}
	if err != nil || n < 8 {
		return 0, "", errors.Join(err, errors.New("a datagram without a header"))
	}
	return binary.BigEndian.Uint16(a.buf[:]), string(a.buf[8:n]), nil
}

// get sends a request and returns the reply's text; datagrams of one reply are joined.
func (a *asker) get(text string, wait time.Duration) (string, error) {
	id, err := a.send(text)
	if err != nil {
		return "", err
	}
	all := ""
	for deadline := time.Now().Add(wait); ; {
		got, part, err := a.receive(time.Until(deadline))
		if err != nil {
			return "", err
		}
		if got != id {
			continue
		}
		all += part
		if !strings.HasPrefix(part, "VALUE ") || strings.HasSuffix(part, "END\r\n") {
			return all, nil
		}
	}
}
