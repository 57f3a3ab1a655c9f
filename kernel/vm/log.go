// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/iupkg/iupkg/kernel/vm/wire"
)

// Log is a kernel log.
type Log struct {
	Records []Record
}

// Record is one line of a kernel log.
type Record struct {
	Level int   // 0 emergency to 7 debug
	Seq   int64 // counts from 0 since boot
	Usec  int64 // since boot
	Text  string
}

// Dmesg reads the machine's kernel log.
func (m *Machine) Dmesg(ctx context.Context) (*Log, error) {
	var b bytes.Buffer
	code, err := m.agent.call(ctx, wire.KindKmsg, nil, Cmd{Stdout: &b})
	if err == nil && code != 0 {
		err = fmt.Errorf("exit %d", code)
	}
	if err != nil {
		return nil, fmt.Errorf("read the machine's kernel log: %w", err)
	}
	return parseKmsg(b.String()), nil
}

// parseKmsg reads records of /dev/kmsg, see Documentation/ABI/testing/dev-kmsg of the kernel.
func parseKmsg(s string) *Log {
	l := &Log{}
	for _, line := range strings.Split(s, "\n") {
		head, text, ok := strings.Cut(line, ";")
		f := strings.Split(head, ",")
		if !ok || len(f) < 3 {
			continue
		}
		prio, _ := strconv.Atoi(f[0])
		seq, _ := strconv.ParseInt(f[1], 10, 64)
		usec, _ := strconv.ParseInt(f[2], 10, 64)
		l.Records = append(l.Records, Record{prio & 7, seq, usec, text})
	}
	return l
}

func (l *Log) String() string {
	var b strings.Builder
	for _, r := range l.Records {
		fmt.Fprintf(&b, "[%5d.%06d] %s\n", r.Usec/1e6, r.Usec%1e6, r.Text)
	}
	return b.String()
}

// Problems are the records that no healthy kernel writes: warnings with a trace, bugs, lock and RCU complaints, stalls,
// taints. That iu.ko is out of tree and signed by no key of the kernel's is no problem.
func (l *Log) Problems() []string {
	var out []string
	for _, r := range l.Records {
		if problem.MatchString(r.Text) && !allowed.MatchString(r.Text) {
			out = append(out, r.Text)
		}
	}
	return out
}

var problem = regexp.MustCompile(strings.Join([]string{
	`^WARNING: `, `\bBUG: `, `kernel BUG at`, `\bOops\b`, `general protection fault`, `Kernel panic`,
	`double fault`, `unable to handle`, `Unpatched return thunk`, `bad page state`, `Bad page`,
	`possible (circular|recursive) locking`, `inconsistent lock state`, `suspicious RCU usage`, `lock held when returning`,
	`HARDIRQ-safe|SOFTIRQ-safe`, `bad unlock balance`, `held lock freed`,
	`rcu.*(stall|starved)`, `soft lockup`, `hard LOCKUP`, `blocked for more than`, `hung_task`,
	`scheduling while atomic`, `sleeping function called`, `preempt_count`, `voluntary context switch within RCU`,
	`refcount_t: `, `list_(add|del) corruption`, `stack guard page|stack overflow`, `corrupted stack`,
	`KASAN|KCSAN|UBSAN|KFENCE: `, `unregister_netdevice: waiting`, `[tT]aint`, `iupkg-vm: kernel log overrun`,
}, "|"))

var allowed = regexp.MustCompile(strings.Join([]string{
	`: loading out-of-tree module taints kernel`,
	`: module verification failed: signature and/or required key missing - tainting kernel`,
	`rcu:.*stall.*(timeout|suppress)`,
	`KFENCE: initialized|kfence: initialized`,
}, "|"))

// console keeps the end of the serial console's output and looks for a panic in it.
type console struct {
	tee     io.Writer
	onPanic func(line string)

	mu    sync.Mutex // guards what follows
	lines []string
	part  []byte
}

const keepLines = 4000

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tee != nil {
		_, _ = c.tee.Write(b)
	}
	c.part = append(c.part, b...)
	for {
		i := bytes.IndexByte(c.part, '\n')
		if i < 0 {
			break
		}
		line := strings.TrimRight(string(c.part[:i]), "\r")
		c.part = c.part[i+1:]
		c.lines = append(c.lines, line)
		if _, msg, ok := strings.Cut(line, "Kernel panic - not syncing: "); ok {
			c.onPanic(msg)
		}
	}
	if len(c.lines) > keepLines {
		c.lines = append([]string(nil), c.lines[len(c.lines)-keepLines:]...)
	}
	return len(b), nil
}

func (c *console) tail(n int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := c.lines
	if len(c.part) > 0 {
		lines = append(lines[:len(lines):len(lines)], string(c.part))
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
