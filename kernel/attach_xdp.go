// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"net"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

var xdpModes = map[string]link.XDPAttachFlags{"native": link.XDPDriverMode, "generic": link.XDPGenericMode}

// attachXDP attaches in the mode asked for; with "auto", in the driver if it
// can, else in the generic path, and says so: it is slower, and sees packets
// later.
func attachXDP(a *attachment, dev *net.Interface) (*Link, error) {
	modes := []string{a.target["mode"]}
	if modes[0] == "" || modes[0] == "auto" {
		modes = []string{"native", "generic"}
	}
	var first error
	for _, mode := range modes {
		flags, ok := xdpModes[mode]
		if !ok {
			return nil, fmt.Errorf("unknown XDP mode %q", mode)
		}
		l, err := link.AttachXDP(link.XDPOptions{Program: a.stub, Interface: dev.Index, Flags: flags})
		if err == nil {
			if first != nil && a.notice != nil {
				a.notice(fmt.Sprintf("%s: driver of %s does not take XDP (%v); attached in generic mode", a.program, dev.Name, cause(first)))
			}
			return &Link{Kind: LinkXDP, Mode: mode, Pin: a.pin}, pinLink(l, a.pin)
		}
		if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) {
			return nil, refused("attach XDP to "+dev.Name, "the interface has an XDP program already", cause(err))
		}
		if first == nil {
			first = err
		}
	}
	return nil, refused("attach XDP to "+dev.Name, "", cause(first))
}

// cause is the errno inside an error, or the error if there is none.
func cause(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
