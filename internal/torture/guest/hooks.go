// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// times drives what happens n times, each by one call that tells whether it met a fault.
func times(what func(m *machine, e *extension) (fault bool, err error)) func(*machine, *extension, string, uint64, bool) ([]time.Duration, uint64, error) {
	return func(m *machine, e *extension, _ string, n uint64, faults bool) (took []time.Duration, _ uint64, err error) {
		for i := range n {
			began := time.Now()
			got, err := what(m, e)
			if err == nil && got != faults {
				err = fmt.Errorf("a fault's verdict: %v, want %v", got, faults)
			}
			if err != nil {
				return nil, 0, fmt.Errorf("run %d: %w", i, err)
			}
			took = append(took, time.Since(began))
		}
		return took, 0, nil
	}
}

// until drives what others reach too, until there were n runs more, or faults if there are to be some.
func until(what func(m *machine, n uint64) error) func(*machine, *extension, string, uint64, bool) ([]time.Duration, uint64, error) {
	return func(m *machine, e *extension, program string, n uint64, faults bool) ([]time.Duration, uint64, error) {
		seen := func() (uint64, error) {
			s, err := e.status(program)
			all := s.Runs
			if faults {
				all = 0
				for _, k := range s.Faults {
					all += k
				}
			}
			return all, err
		}
		first, err := seen()
		for now, began := first, time.Now(); err == nil && now-first < n; now, err = seen() {
			if time.Since(began) > time.Minute {
				return nil, 0, fmt.Errorf("%d runs of %d", now-first, n)
			}
			if err := what(m, n-(now-first)); err != nil {
				return nil, 0, err
			}
		}
		// A run that is under way has the mode still.
		defer time.Sleep(20 * time.Millisecond)
		return nil, 0, err
	}
}

// sockets asks for one of a family that nobody speaks.
var sockets = driver{context: "task", run: times(func(*machine, *extension) (bool, error) {
	const family = unix.AF_X25
	fd, err := unix.Socket(family, unix.SOCK_DGRAM, 0)
	switch {
	case errors.Is(err, unix.EAFNOSUPPORT):
		return false, nil
	case errors.Is(err, unix.EPERM):
		return true, nil
	case err == nil:
		unix.Close(fd)
		return false, nil
	}
	return false, err
})}

// probed is what the program in user space is attached to.
//
//go:noinline
func probed(n uint64) uint64 { return n*3 + 1 }

var functions = driver{context: "task", run: func(_ *machine, _ *extension, _ string, n uint64, _ bool) (took []time.Duration, _ uint64, _ error) {
	for i := range n {
		began := time.Now()
		if probed(i) == 0 {
			return nil, 0, errors.New("the probed function is not what it was")
		}
		took = append(took, time.Since(began))
	}
	return took, 0, nil
}}

// pages faults in fresh ones: the event is counted in the task's own context.
var pages = driver{context: "task", shared: true, run: until(func(_ *machine, n uint64) error {
	const size = 4096
	n = min(n, 256)
	b, err := unix.Mmap(-1, 0, int(n)*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	for i := range n {
		b[i*size] = 1
	}
	return unix.Munmap(b)
})}

// switches runs in the scheduler, interrupts off and the run queue's lock held.
var switches = driver{context: "scheduler", shared: true, run: until(func(_ *machine, n uint64) error {
	for range min(n, 32) {
		time.Sleep(50 * time.Microsecond)
	}
	return nil
})}

// ticks waits for the clock's event, which interrupts.
var ticks = driver{context: "hardirq", shared: true, most: 500, run: until(func(*machine, uint64) error {
	time.Sleep(10 * time.Millisecond)
	return nil
})}

// loopback is a UDP socket that sends to one that nobody reads.
type loopback struct {
	send, recv int
	to         unix.SockaddrInet4
}

func newLoopback() (*loopback, error) {
	l := &loopback{to: unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}}
	var err error
	for _, fd := range []*int{&l.send, &l.recv} {
		if *fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return nil, err
		}
	}
	if err := unix.Bind(l.recv, &l.to); err != nil {
		return nil, err
	}
	name, err := unix.Getsockname(l.recv)
	if err != nil {
		return nil, err
	}
	l.to.Port = name.(*unix.SockaddrInet4).Port
	return l, nil
}

// empty reads a socket until nothing is left and says how much there was.
func empty(fd int) (n uint64) {
	b := make([]byte, 64)
	for {
		if _, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT); err != nil {
			return n
		}
		n++
	}
}

var sending = driver{context: "task", run: times(func(m *machine, _ *extension) (bool, error) {
	err := unix.Sendto(m.loop.send, []byte("x"), 0, &m.loop.to)
	empty(m.loop.recv)
	if errors.Is(err, unix.EPERM) {
		return true, nil
	}
	return false, err
})}

// arriving sends datagrams of which a program sees each when it comes: of those with a
// fault none arrives.
func arriving(m *machine, e *extension, program string, n uint64, faults bool) ([]time.Duration, uint64, error) {
	before, err := e.status(program)
	if err != nil {
		return nil, 0, err
	}
	got := uint64(0)
	for i := range n {
		if err := unix.Sendto(m.loop.send, []byte("x"), 0, &m.loop.to); err != nil {
			return nil, 0, err
		}
		if i%16 == 15 || i == n-1 {
			for began := time.Now(); ; time.Sleep(200 * time.Microsecond) {
				s, err := e.status(program)
				if err != nil {
					return nil, 0, err
				}
				if s.Runs-before.Runs >= i+1 {
					break
				}
				if time.Since(began) > 20*time.Second {
					return nil, 0, fmt.Errorf("%d of %d datagrams were seen", s.Runs-before.Runs, i+1)
				}
			}
			got += empty(m.loop.recv)
		}
	}
	for began := time.Now(); !faults && got < n && time.Since(began) < 5*time.Second; time.Sleep(time.Millisecond) {
		got += empty(m.loop.recv)
	}
	if want := map[bool]uint64{false: n}[faults]; got != want {
		return nil, 0, fmt.Errorf("%d datagrams of %d arrived, want %d", got, n, want)
	}
	return nil, 0, nil
}

var receiving = driver{context: "softirq", run: arriving}

var connections = driver{context: "task", run: times(func(m *machine, _ *extension) (bool, error) {
	err := unix.Connect(m.loop.send, &m.loop.to)
	if errors.Is(err, unix.EPERM) {
		return true, nil
	}
	return false, err
})}

// filtered is a datagram between two ends of a pair, which its sender puts through the filter.
var filtered = driver{context: "task", run: func(m *machine, e *extension, program string, n uint64, faults bool) ([]time.Duration, uint64, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, 0, err
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	if err := filter(pair[1], e.programs[program]); err != nil {
		return nil, 0, err
	}
	return times(func(*machine, *extension) (bool, error) {
		err := unix.Sendto(pair[0], []byte("x"), 0, nil)
		return empty(pair[1]) == 0, err
	})(m, e, program, n, faults)
}}

// filteredLate is one that comes from the network.
var filteredLate = driver{context: "softirq", run: func(m *machine, e *extension, program string, n uint64, faults bool) ([]time.Duration, uint64, error) {
	if err := filter(m.loop.recv, e.programs[program]); err != nil {
		return nil, 0, err
	}
	defer unix.SetsockoptInt(m.loop.recv, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	return arriving(m, e, program, n, faults)
}}

func filter(fd int, p *ebpf.Program) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, p.FD())
}
