// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// memcached talks to one server: items are changed over TCP and read over UDP,
// as clients of a cache in front of memcached do.
type memcached struct {
	tcp net.Conn
	in  *bufio.Reader
	udp string
}

const replyTimeout = 5 * time.Second

func dialMemcached(tcpAddr, udpAddr string) (*memcached, error) {
	conn, err := net.DialTimeout("tcp", tcpAddr, replyTimeout)
	if err != nil {
		return nil, err
	}
	return &memcached{tcp: conn, in: bufio.NewReader(conn), udp: udpAddr}, nil
}

func (m *memcached) Close() error { return m.tcp.Close() }

// command sends one request over TCP and returns the first line of the answer.
func (m *memcached) command(request string) (string, error) {
	if err := m.tcp.SetDeadline(time.Now().Add(replyTimeout)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(m.tcp, request); err != nil {
		return "", err
	}
	line, err := m.in.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

func (m *memcached) set(key string, value []byte) error {
	line, err := m.command(fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", key, len(value), value))
	if err == nil && line != "STORED" {
		err = fmt.Errorf("set %s: memcached answered %q", key, line)
	}
	return err
}

// stat reads one of the server's own counters.
func (m *memcached) stat(name string) (uint64, error) {
	line, err := m.command("stats\r\n")
	found, seen := uint64(0), false
	for ; err == nil && line != "END"; line, err = m.readLine() {
		words := strings.Fields(line)
		if len(words) == 3 && words[0] == "STAT" && words[1] == name {
			found, err = strconv.ParseUint(words[2], 10, 64)
			if err != nil {
				return 0, err
			}
			seen = true
		}
	}
	if err == nil && !seen {
		err = fmt.Errorf("memcached has no counter %q", name)
	}
	return found, err
}

func (m *memcached) readLine() (string, error) {
	line, err := m.in.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// reader asks over UDP, from a port of its own.
type reader struct {
	conn net.Conn
	next uint16
	buf  [65536]byte
}

func (m *memcached) reader() (*reader, error) {
	conn, err := net.Dial("udp", m.udp)
	if err != nil {
		return nil, err
	}
	return &reader{conn: conn}, nil
}

func (r *reader) Close() error { return r.conn.Close() }

var errMiss = errors.New("no such item")

// get returns the items of all keys, or errMiss if one is not there. A datagram
// that is lost is asked for again, as any UDP client must.
func (r *reader) get(keys ...string) (map[string][]byte, error) {
	for attempt := 0; ; attempt++ {
		r.next++
		request := binary.BigEndian.AppendUint16(nil, r.next)
		request = append(request, 0, 0, 0, 1, 0, 0)
		request = append(request, "get "+strings.Join(keys, " ")+"\r\n"...)
		if _, err := r.conn.Write(request); err != nil {
			return nil, err
		}
		items, err := r.answer(r.next)
		if errors.Is(err, os.ErrDeadlineExceeded) && attempt < 3 {
			continue
		}
		for _, key := range keys {
			if _, ok := items[key]; !ok && err == nil {
				err = errMiss
			}
		}
		return items, err
	}
}

// answer waits for the whole reply to a request. memcached 1.6 sends the values
// of a multi-get in datagrams of their own, each of which says that it is the
// only one; the last ends in END. Late replies to earlier requests are passed over.
func (r *reader) answer(id uint16) (map[string][]byte, error) {
	if err := r.conn.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return nil, err
	}
	items := make(map[string][]byte)
	for {
		n, err := r.conn.Read(r.buf[:])
		if err != nil {
			return nil, err
		}
		if n < 8 || binary.BigEndian.Uint16(r.buf[:]) != id {
			continue
		}
		if count := binary.BigEndian.Uint16(r.buf[4:]); count > 1 {
			return nil, fmt.Errorf("a reply of %d datagrams", count)
		}
		if whole, err := parseValues(r.buf[8:n], items); whole || err != nil {
			return items, err
		}
	}
}

// parseValues adds the items of one datagram; whole if END stands behind them.
func parseValues(body []byte, items map[string][]byte) (whole bool, err error) {
	for len(body) > 0 {
		line, rest, ok := bytes.Cut(body, []byte("\r\n"))
		if string(line) == "END" && ok && len(rest) == 0 {
			return true, nil
		}
		words := bytes.Fields(line)
		if !ok || len(words) != 4 || string(words[0]) != "VALUE" {
			return false, fmt.Errorf("malformed reply %q", body)
		}
		size, err := strconv.Atoi(string(words[3]))
		if err != nil || size < 0 || size+2 > len(rest) || string(rest[size:size+2]) != "\r\n" {
			return false, fmt.Errorf("malformed reply %q", body)
		}
		items[string(words[1])] = bytes.Clone(rest[:size])
		body = rest[size+2:]
	}
	return false, nil
}

// load is what several clients at once get out of a server.
type load struct {
	rate     float64 // requests answered per second
	p50, p99 time.Duration
}

// absent is the key of an item that there never is.
const absent = "absent"

// load asks for keys in turn from several clients at once for a while, one of every ten requests for an item that there
// is not if so. Every value is checked.
func (m *memcached) load(clients int, d time.Duration, items map[string][]byte, absents bool) (load, error) {
	keys := make([]string, 0, len(items))
	for key := range items {
		keys = append(keys, key)
	}
	var mu sync.Mutex
	var took []time.Duration
	errs := make(chan error, clients)
	var wg sync.WaitGroup
	start := time.Now()
	for c := range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r, err := m.reader()
			if err != nil {
				errs <- err
				return
			}
			defer r.Close()
			var mine []time.Duration
			defer func() {
				mu.Lock()
				took = append(took, mine...)
				mu.Unlock()
			}()
			for i := c; time.Since(start) < d; i++ {
				key := keys[i%len(keys)]
				if absents && i%10 == 0 {
					key = absent
				}
				began := time.Now()
				got, err := r.get(key)
				mine = append(mine, time.Since(began))
				switch {
				case key == absent && errors.Is(err, errMiss):
					err = nil
				case err == nil && !bytes.Equal(got[key], items[key]):
					err = fmt.Errorf("%s: a wrong value came back", key)
				}
				if err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	wg.Wait()
	elapsed := time.Since(start)
	select {
	case err := <-errs:
		return load{}, err
	default:
		slices.Sort(took)
		at := func(percent int) time.Duration { return took[len(took)*percent/100] }
		return load{float64(len(took)) / elapsed.Seconds(), at(50), at(99)}, nil
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
