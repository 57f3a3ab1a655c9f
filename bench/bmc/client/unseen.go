// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"
)

// victim is the item. The key is so long that a packet with a request for it has room for the answer: a veth
// pair hands over a short one in a buffer that has next to none.
var victim = "victim:" + strings.Repeat("v", 200)

// unseen changes an item in a segment that begins with "set boom ", on which a bmc that was
// broken for this test faults before it has looked at it: the change gets to memcached unseen. Whoever asks
// afterwards must get the new value.
func unseen(o options) (string, error) {
	a, err := dialUDP(o.server)
	if err != nil {
		return "", err
	}
	defer a.Close()
	reads := 0
	for round := range o.ops {
		// One of its own each time, as after the fault it is not followed any more.
		s, err := dial(o.server)
		if err != nil {
			return "", err
		}
		change := func(text string, replies int) error {
			if _, err := s.Write([]byte(text)); err != nil {
				return err
			}
			for range replies {
				if line, err := s.line(); err != nil || line != "STORED" {
					return fmt.Errorf("a change was answered %q, %w", line, err)
				}
			}
			return nil
		}
		holds := func(value string, times int) error {
			want := fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\nEND\r\n", victim, len(value), value)
			for range times {
				got, err := a.get("get "+victim+"\r\n", 5*time.Second)
				if err != nil {
					return err
				}
				if got != want {
					return fmt.Errorf("round %d: stale: %q, want %q", round, got, want)
				}
				reads++
			}
			return nil
		}
		before, after := fmt.Sprintf("before-%d", round), fmt.Sprintf("after-%d", round)
		// Until nothing is under way any more, and it is kept.
		time.Sleep(o.pause)
		err = change(fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", victim, len(before), before), 1)
		if err == nil {
			err = holds(before, 20)
		}
		if err == nil {
			err = change(fmt.Sprintf("set boom 0 0 1\r\nx\r\nset %s 0 0 %d\r\n%s\r\n", victim, len(after), after), 2)
		}
		if err == nil {
			err = holds(after, 20)
		}
		s.Close()
		if err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("never stale: %d changes unseen, %d reads", o.ops, reads), nil
}
