// SPDX-License-Identifier: Apache-2.0

// Command peer is the other end of what the tests of extensions send: servers and clients that say on
// standard output what came of it.
//
//	peer tls-serve ADDR             a TLS server
//	peer tls-dial ADDR NAME         asks it for NAME
//	peer who ADDR NAME              a TCP server that says its name for every line
//	peer ask ADDR N                 N connections with a line each: who answered, how often
//	peer hold ADDR                  one connection with a line for every line of standard input
//	peer send ADDR TEXT...          one line, of which each TEXT is a segment of its own
//	peer read PATH N                opens and reads a file N times
//	peer paxos-replica ADDR NODE, paxos-lead ADDR N WANT REPLICA..., paxos-log PATH: see paxos.go
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"os"
	"slices"
	"strconv"
	"time"
)

// wait is the longest that an answer takes in a machine without hardware virtualisation.
const wait = 5 * time.Second

func main() {
	if len(os.Args) < 3 {
		fatal("see the package")
	}
	addr, args := os.Args[2], os.Args[3:]
	run := map[string]func(string, []string) error{
		"tls-serve": tlsServe, "tls-dial": tlsDial, "who": who, "ask": ask, "hold": hold, "send": send, "read": read,
		"paxos-replica": paxosReplica, "paxos-lead": paxosLead, "paxos-log": paxosLog,
	}[os.Args[1]]
	if run == nil {
		fatal("no command " + os.Args[1])
	}
	if err := run(addr, args); err != nil {
		fatal(err.Error())
	}
}

func fatal(text string) {
	fmt.Println("failed:", text)
	os.Exit(1)
}

func tlsServe(addr string, _ []string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	cert, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, key.Public(), key)
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", addr, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}})
	if err != nil {
		return err
	}
	return serve(l, func(c net.Conn) { io.Copy(c, c) })
}

func serve(l net.Listener, each func(net.Conn)) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			each(c)
		}()
	}
}

// tlsDial says "served" if the handshake is done.
func tlsDial(addr string, args []string) error {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: wait}, Config: &tls.Config{ServerName: args[0], InsecureSkipVerify: true}}
	raw, err := d.NetDialer.Dial("tcp", addr)
	if err != nil {
		return err
	}
	c := tls.Client(raw, d.Config)
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	if err := c.Handshake(); err != nil {
		return err
	}
	fmt.Println("served")
	return nil
}

func who(addr string, args []string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return serve(l, func(c net.Conn) {
		for lines := bufio.NewScanner(c); lines.Scan(); {
			fmt.Fprintln(c, args[0])
		}
	})
}

func dial(addr string) (net.Conn, *bufio.Reader, error) {
	c, err := net.DialTimeout("tcp", addr, wait)
	if err != nil {
		return nil, nil, err
	}
	return c, bufio.NewReader(c), nil
}

func exchange(c net.Conn, r *bufio.Reader, text string) (string, error) {
	if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	return r.ReadString('\n')
}

func ask(addr string, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	answers := map[string]int{}
	for range n {
		c, r, err := dial(addr)
		if err != nil {
			return err
		}
		name, err := exchange(c, r, "who\n")
		if err != nil {
			return err
		}
		answers[name[:len(name)-1]]++
		c.Close()
	}
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		fmt.Println(name, answers[name])
	}
	return nil
}

func hold(addr string, _ []string) error {
	c, r, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		name, err := exchange(c, r, lines.Text()+"\n")
		if err != nil {
			return err
		}
		fmt.Print(name)
	}
	return nil
}

// send says "answered" if the server got it all.
func send(addr string, args []string) error {
	c, r, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, text := range args {
		if _, err := io.WriteString(c, text); err != nil {
			return err
		}
		// Not to be joined to the next.
		time.Sleep(200 * time.Millisecond)
	}
	if _, err := exchange(c, r, "\n"); err != nil {
		return err
	}
	fmt.Println("answered")
	return nil
}
