// SPDX-License-Identifier: Apache-2.0

// Client finds out from outside whether a memcached with bmc in front of it is
// right. It runs where its packets go through the interface that bmc is on.
//
//	client check     many connections change and read a few keys at once: is what was read linearizable?
//	client diff      random requests to it and to a memcached without bmc: are all answers the same?
//	client fuzz      damaged datagrams: does the server live, and is a good request still answered right?
//	client load      gets over many sockets: how many a second, and how long do they take?
//	client unseen    changes in segments that make a program fault (see vmtest): is an old value still served?
//
// Each prints one line of figures and fails with the first thing that is wrong.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

// options are what the command line says; a mode takes what it needs of them.
type options struct {
	server  string // with bmc
	plain   string // without
	ops     int
	conns   int
	readers int
	keys    int
	seed    uint64
	time    time.Duration
	pause   time.Duration
	length  time.Duration
	size    int
	hit     int
}

func main() {
	var o options
	flag.StringVar(&o.server, "server", "10.1.0.1:11211", "memcached with bmc, TCP and UDP")
	flag.StringVar(&o.plain, "plain", "10.1.0.1:11311", "memcached without, TCP and UDP")
	flag.IntVar(&o.ops, "ops", 10000, "operations of all connections")
	flag.IntVar(&o.conns, "conns", 8, "connections that change items")
	flag.IntVar(&o.readers, "readers", 8, "sockets that read over UDP")
	flag.IntVar(&o.keys, "keys", 4, "keys")
	flag.Uint64Var(&o.seed, "seed", 1, "of the random numbers")
	flag.DurationVar(&o.time, "timeout", 30*time.Minute, "for all of it")
	flag.DurationVar(&o.pause, "pause", 80*time.Millisecond, "check: longest that a connection waits between changes, so that reads find items in between")
	flag.DurationVar(&o.length, "for", 10*time.Second, "load: how long")
	flag.IntVar(&o.size, "size", 32, "load: bytes of an item's data")
	flag.IntVar(&o.hit, "hit", 90, "load: percent of requests whose item exists")
	flag.Parse()
	modes := map[string]func(options) (string, error){"check": check, "diff": diff, "fuzz": fuzz, "load": load, "unseen": unseen}
	run := modes[flag.Arg(0)]
	if run == nil {
		fmt.Fprintln(os.Stderr, "usage: client [OPTION…] check|diff|fuzz|load|unseen")
		os.Exit(2)
	}
	time.AfterFunc(o.time, func() {
		fmt.Fprintln(os.Stderr, "client: error: timed out")
		os.Exit(1)
	})
	began := time.Now()
	says, err := run(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "client: error:", err)
		os.Exit(1)
	}
	fmt.Printf("%s in %.1f s\n", says, time.Since(began).Seconds())
}
