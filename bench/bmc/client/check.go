// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// operation is a write of a value that nobody else writes, or a read that
// returned it, from when it was sent until its reply was there.
type operation struct {
	key, value int
	write      bool
	start, end time.Duration
}

// history is what all clients did.
type history struct {
	began time.Time
	mu    sync.Mutex
	ops   []operation
	value atomic.Int64
	lost  atomic.Int64
}

func (h *history) now() time.Duration { return time.Since(h.began) }

func (h *history) add(ops ...operation) {
	h.mu.Lock()
	h.ops = append(h.ops, ops...)
	h.mu.Unlock()
}

const never = time.Duration(1<<63 - 1)

func keyName(k int) string { return fmt.Sprintf("check:%d", k) }

// body is a value: its number, and padding that makes it long now and then.
func body(rng *rand.Rand, value int) string {
	s := strconv.Itoa(value) + "."
	if rng.IntN(8) == 0 {
		s += strings.Repeat("x", rng.IntN(1200))
	}
	return s
}

func valueOf(text string) (int, error) {
	number, _, ok := strings.Cut(text, ".")
	if !ok {
		return 0, fmt.Errorf("a value that nobody wrote: %q", text)
	}
	return strconv.Atoi(number)
}

// writer changes keys over one connection, in many ways, cut at random.
func (h *history) writer(o options, rng *rand.Rand, ops int) error {
	s, err := dial(o.server)
	if err != nil {
		return err
	}
	defer func() { s.Close() }()
	for done := 0; done < ops; {
		time.Sleep(time.Duration(rng.Int64N(int64(o.pause) + 1)))
		if rng.IntN(200) == 0 {
			// Connections come and go.
			s.Close()
			if s, err = dial(o.server); err != nil {
				return err
			}
		}
		batch := 1
		if rng.IntN(3) == 0 {
			batch = 1 + rng.IntN(6)
		}
		var text strings.Builder
		var writes []operation
		silent := make([]bool, batch)
		for i := range batch {
			key, value := rng.IntN(o.keys), int(h.value.Add(1))
			data := body(rng, value)
			writes = append(writes, operation{key: key, value: value, write: true})
			switch rng.IntN(12) {
			case 0:
				fmt.Fprintf(&text, "ms %s %d\r\n%s\r\n", keyName(key), len(data), data)
			case 1:
				fmt.Fprintf(&text, "replace %s 0 0 %d\r\n%s\r\n", keyName(key), len(data), data)
			case 2:
				silent[i] = true
				fmt.Fprintf(&text, "set %s 0 0 %d noreply\r\n%s\r\n", keyName(key), len(data), data)
			default:
				fmt.Fprintf(&text, "set %s 0 0 %d\r\n%s\r\n", keyName(key), len(data), data)
			}
		}
		start := h.now()
		if err := sendCut(s, rng, text.String()); err != nil {
			return err
		}
		for i := range writes {
			writes[i].start, writes[i].end = start, never
			if silent[i] {
				continue
			}
			line, err := s.line()
			if err != nil {
				return err
			}
			if line != "STORED" && line != "HD" {
				return fmt.Errorf("a change was answered %q", line)
			}
			writes[i].end = h.now()
			// Requests of a connection are carried out in their order.
			for j := range i {
				writes[j].end = min(writes[j].end, writes[i].end)
			}
		}
		h.add(writes...)
		done += batch
	}
	// A reply behind the last one without a reply.
	if _, err := s.Write([]byte("mn\r\n")); err != nil {
		return err
	}
	_, err = s.line()
	return err
}

// sendCut writes text in several segments, at times.
func sendCut(s *stream, rng *rand.Rand, text string) error {
	for rng.IntN(3) == 0 && len(text) > 1 {
		n := 1 + rng.IntN(len(text)-1)
		if _, err := s.Write([]byte(text[:n])); err != nil {
			return err
		}
		text = text[n:]
		if rng.IntN(4) == 0 {
			time.Sleep(time.Duration(rng.IntN(3000)) * time.Microsecond)
		}
	}
	_, err := s.Write([]byte(text))
	return err
}

// reader reads keys over UDP until stop is closed.
func (h *history) reader(o options, rng *rand.Rand, stop chan struct{}) error {
	a, err := dialUDP(o.server)
	if err != nil {
		return err
	}
	defer a.Close()
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if rng.IntN(50) == 0 {
			// Numbers come again, as with a client that counts from 0 each time.
			a.next -= uint16(rng.IntN(4))
		}
		var keys []string
		for range 1 + rng.IntN(8)/7 {
			keys = append(keys, keyName(rng.IntN(o.keys)))
		}
		start := h.now()
		text, err := a.get("get "+strings.Join(keys, " ")+"\r\n", 2*time.Second)
		if errors.Is(err, errLost) {
			h.lost.Add(1)
			continue
		}
		if err != nil {
			return err
		}
		end := h.now()
		reads, err := readsOf(text)
		if err != nil {
			return err
		}
		for i := range reads {
			reads[i].start, reads[i].end = start, end
		}
		h.add(reads...)
	}
}

func readsOf(text string) (reads []operation, err error) {
	for text != "END\r\n" {
		line, rest, ok := strings.Cut(text, "\r\n")
		words := strings.Fields(line)
		if !ok || len(words) != 4 || words[0] != "VALUE" {
			return nil, fmt.Errorf("malformed reply %q", text)
		}
		size, err := strconv.Atoi(words[3])
		if err != nil || size+2 > len(rest) {
			return nil, fmt.Errorf("malformed reply %q", text)
		}
		var r operation
		if _, err := fmt.Sscanf(words[1], "check:%d", &r.key); err != nil {
			return nil, err
		}
		if r.value, err = valueOf(rest[:size]); err != nil {
			return nil, err
		}
		reads = append(reads, r)
		text = rest[size+2:]
	}
	return reads, nil
}

func check(o options) (string, error) {
	h := &history{began: time.Now()}
	first := rand.New(rand.NewPCG(o.seed, 0))
	s, err := dial(o.server)
	if err != nil {
		return "", err
	}
	defer s.Close()
	for k := range o.keys {
		value := int(h.value.Add(1))
		data := body(first, value)
		start := h.now()
		if _, err := fmt.Fprintf(s, "set %s 0 0 %d\r\n%s\r\n", keyName(k), len(data), data); err != nil {
			return "", err
		}
		if line, err := s.line(); err != nil || line != "STORED" {
			return "", fmt.Errorf("set: %q, %w", line, err)
		}
		h.add(operation{key: k, value: value, write: true, start: start, end: h.now()})
	}
	stop := make(chan struct{})
	errs := make(chan error, o.conns+o.readers)
	var writers, readers sync.WaitGroup
	for i := range o.conns {
		writers.Go(func() { errs <- h.writer(o, rand.New(rand.NewPCG(o.seed, uint64(i+1))), o.ops/o.conns) })
	}
	for i := range o.readers {
		readers.Go(func() { errs <- h.reader(o, rand.New(rand.NewPCG(o.seed, uint64(1000+i))), stop) })
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return "", err
		}
	}
	writes, reads := 0, 0
	for _, op := range h.ops {
		if op.write {
			writes++
		} else {
			reads++
		}
	}
	if err := linearizable(h.ops); err != nil {
		return "", err
	}
	return fmt.Sprintf("linearizable: %d writes, %d reads, %d keys, %d reads lost", writes, reads, o.keys, h.lost.Load()), nil
}
