// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

// pair is the same client twice: of the server with bmc and of the one without.
type pair struct {
	rng  *rand.Rand
	name string
	keys int
	tcp  [2]*stream
	udp  [2]*asker
	ops  int
	hits int
}

// batch is how many requests are sent before their answers are compared.
const batch = 24

// diff runs random requests of some clients, each with keys of its own, against both.
func diff(o options) (string, error) {
	var wg sync.WaitGroup
	errs := make([]error, o.conns)
	pairs := make([]*pair, o.conns)
	for i := range o.conns {
		p := &pair{rng: rand.New(rand.NewPCG(o.seed, uint64(i))), name: fmt.Sprintf("diff:%d:%d:", o.seed, i), keys: 40}
		pairs[i] = p
		for j, addr := range []string{o.server, o.plain} {
			var err error
			if p.tcp[j], err = dial(addr); err != nil {
				return "", err
			}
			defer p.tcp[j].Close()
			if p.udp[j], err = dialUDP(addr); err != nil {
				return "", err
			}
			defer p.udp[j].Close()
		}
		wg.Go(func() {
			for errs[i] == nil && p.ops < o.ops/o.conns {
				errs[i] = p.step()
			}
		})
	}
	wg.Wait()
	total, items := 0, 0
	for _, p := range pairs {
		total += p.ops
		items += p.hits
	}
	return fmt.Sprintf("same: %d requests, %d of them found items over UDP", total, items), errors.Join(errs...)
}

func (p *pair) key() string {
	// Some share a prefix, some are as long as a key can be.
	n := p.rng.IntN(p.keys)
	key := fmt.Sprintf("%s%d", p.name, n)
	if n%8 == 7 {
		key += strings.Repeat("k", 250-len(key))
	}
	return key
}

func (p *pair) data() string {
	n := p.rng.IntN(40)
	switch p.rng.IntN(20) {
	case 0:
		n = p.rng.IntN(1500)
	case 1:
		return fmt.Sprint(p.rng.IntN(1000))
	case 2:
		return "x\r\nset other 0 0 1\r\n"
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(p.rng.IntN(256))
	}
	return string(b)
}

// change is a random request over TCP; it has a reply, which is the same on both
// servers whatever the time.
func (p *pair) change() string {
	key, data := p.key(), p.data()
	flags := p.rng.IntN(3) * 1000
	time := []int{0, 0, 0, 0, 100000, -1}[p.rng.IntN(6)]
	store := func(command, rest string) string {
		return fmt.Sprintf("%s %s %d %d %d%s\r\n%s\r\n", command, key, flags, time, len(data), rest, data)
	}
	switch p.rng.IntN(24) {
	case 0, 1, 2, 3, 4, 5:
		return store("set", "")
	case 6:
		return store("add", "")
	case 7:
		return store("replace", "")
	case 8:
		return store("append", "")
	case 9:
		return store("prepend", "")
	case 10:
		return store("cas", fmt.Sprintf(" %d", 1_000_000_000_000+p.rng.IntN(100)))
	// Whether a number that gets shorter is padded hangs on who else looks at the item just then.
	case 11:
		return fmt.Sprintf("set %s 0 0 2 noreply\r\n57\r\nincr %s %d\r\n", key, key, p.rng.IntN(100))
	case 12:
		return fmt.Sprintf("set %s 0 0 2 noreply\r\n57\r\ndecr %s %d\r\n", key, key, p.rng.IntN(40))
	case 13, 14:
		return fmt.Sprintf("delete %s\r\n", key)
	case 15:
		return fmt.Sprintf("touch %s %d\r\n", key, time)
	case 16:
		return fmt.Sprintf("gat %d %s %s\r\n", time, key, p.key())
	case 17:
		return fmt.Sprintf("get %s %s\r\n", key, p.key())
	case 18:
		return fmt.Sprintf("ms %s %d T%d\r\n%s\r\n", key, len(data), time, data)
	case 19:
		return fmt.Sprintf("md %s\r\n", key)
	case 20:
		return fmt.Sprintf("mg %s v T%d\r\n", key, time)
	case 21:
		// Without a reply, and one that has it.
		return store("set", " noreply") + "mn\r\n"
	case 22:
		return fmt.Sprintf("ma %s N100000 J5\r\n", key)
	default:
		return fmt.Sprintf("mg %s f k v\r\n", key)
	}
}

// read is a random request over UDP.
func (p *pair) read() string {
	keys := []string{p.key()}
	for p.rng.IntN(5) == 0 {
		keys = append(keys, p.key())
	}
	command := "get"
	if p.rng.IntN(12) == 0 {
		command = "mg"
		return fmt.Sprintf("%s %s v\r\n", command, keys[0])
	}
	return command + " " + strings.Join(keys, " ") + "\r\n"
}

// step sends a batch of changes, compares the answers, then a batch of reads.
func (p *pair) step() error {
	var text strings.Builder
	n := 1 + p.rng.IntN(batch)
	for range n {
		text.WriteString(p.change())
	}
	cuts := rand.NewPCG(p.rng.Uint64(), 0)
	for i := range p.tcp {
		state := *cuts
		if err := sendCut(p.tcp[i], rand.New(&state), text.String()); err != nil {
			return err
		}
	}
	for i := range n {
		var got [2]string
		for j := range p.tcp {
			var err error
			if got[j], err = p.tcp[j].reply(); err != nil {
				return err
			}
		}
		if got[0] != got[1] {
			return fmt.Errorf("reply %d to\n%q\nis %q, without bmc %q", i, text.String(), got[0], got[1])
		}
	}
	p.ops += n
	return p.reads()
}

func (p *pair) reads() error {
	// The same ones twice, so that the second finds what the first brought in.
	var requests []string
	for range 1 + p.rng.IntN(batch/2) {
		requests = append(requests, p.read())
	}
	for range 1 + p.rng.IntN(3) {
		for _, text := range requests {
			var got [2]string
			for i := range p.udp {
				for try := 0; ; try++ {
					var err error
					if got[i], err = p.udp[i].get(text, 5*time.Second); err == nil {
						break
					} else if !errors.Is(err, errLost) || try == 3 {
						return fmt.Errorf("%q: %w", text, err)
					}
				}
			}
			if got[0] != got[1] {
				return fmt.Errorf("the answer to %q is %q, without bmc %q", text, got[0], got[1])
			}
			if strings.HasPrefix(got[0], "VALUE ") {
				p.hits++
			}
			p.ops++
		}
	}
	return nil
}
