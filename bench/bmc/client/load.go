// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// latencies counts times in buckets of an eighth of a power of two.
type latencies [64 * 8]uint64

func (l *latencies) add(d time.Duration) {
	n := max(uint64(d), 8)
	top := bits.Len64(n) - 4
	l[top*8+int(n>>top)-8]++
}

// at is the time that so many of a thousand did not exceed, from above.
func (l *latencies) at(permille uint64) time.Duration {
	var all, seen uint64
	for _, n := range l {
		all += n
	}
	for i, n := range l {
		if seen += n; seen*1000 >= all*permille && n > 0 {
			return time.Duration(uint64(i%8+9) << (i / 8))
		}
	}
	return 0
}

// load asks for items over many sockets for some time, one request of each under way at a time, and
// says how many were answered and how long they took. The items are set first; those of
// o.hit percent of the requests exist, the others never did.
func load(o options) (string, error) {
	s, err := dial(o.server)
	if err != nil {
		return "", err
	}
	defer s.Close()
	name := func(i int) string { return fmt.Sprintf("item:load:%06d", i) }
	warm, err := dialUDP(o.server)
	if err != nil {
		return "", err
	}
	defer warm.Close()
	if _, err := warm.get("get "+name(0)+"\r\n", 5*time.Second); err != nil {
		return "", err
	}
	// Whatever was under way when bmc was installed.
	time.Sleep(2 * time.Second)
	data := strings.Repeat("x", o.size)
	for i := range o.keys {
		if _, err := fmt.Fprintf(s, "set %s 0 0 %d\r\n%s\r\n", name(i), o.size, data); err != nil {
			return "", err
		}
		if line, err := s.line(); err != nil || line != "STORED" {
			return "", fmt.Errorf("set: %q, %w", line, err)
		}
		if _, err := warm.get("get "+name(i)+"\r\n", 5*time.Second); err != nil {
			return "", err
		}
	}
	var mu sync.Mutex
	var all latencies
	var requests, lost int
	var wg sync.WaitGroup
	errs := make([]error, o.readers)
	stop := time.Now().Add(o.length)
	for i := range o.readers {
		wg.Go(func() {
			a, err := dialUDP(o.server)
			if err != nil {
				errs[i] = err
				return
			}
			defer a.Close()
			rng := rand.New(rand.NewPCG(o.seed, uint64(i)))
			var mine latencies
			n, gone := 0, 0
			for began := time.Now(); began.Before(stop) && errs[i] == nil; began = time.Now() {
				key := name(rng.IntN(o.keys))
				if rng.IntN(100) >= o.hit {
					key = fmt.Sprintf("item:none:%06d", rng.IntN(o.keys))
				}
				switch _, err := a.get("get "+key+"\r\n", time.Second); {
				case errors.Is(err, errLost):
					gone++
				case err != nil:
					errs[i] = err
				default:
					mine.add(time.Since(began))
					n++
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for i, k := range mine {
				all[i] += k
			}
			requests, lost = requests+n, lost+gone
		})
	}
	wg.Wait()
	return fmt.Sprintf("%.0f requests/s, p50 %v, p99 %v, p99.9 %v, %d lost", float64(requests)/o.length.Seconds(),
		all.at(500), all.at(990), all.at(999), lost), errors.Join(errs...)
}
