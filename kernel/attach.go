// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"net"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Kinds of Link.
const (
	LinkXDP    = "xdp"     // bpf_link, pinned
	LinkTCX    = "tcx"     // bpf_link, pinned; kernels from 6.6
	LinkClsBPF = "cls_bpf" // filter at a clsact qdisc
)

// Link says where a stub is attached, as far as it takes to detach it.
type Link struct {
	Kind      string `json:"kind"`
	Interface string `json:"interface"`
	Ifindex   int    `json:"ifindex"`
	Mode      string `json:"mode,omitempty"`      // xdp: native or generic
	Direction string `json:"direction,omitempty"` // tc: ingress or egress
	Pin       string `json:"pin,omitempty"`       // of a bpf_link

	Filter *Filter `json:"filter,omitempty"` // of cls_bpf
}

// attachment is one request to attach a stub.
type attachment struct {
	pkg, program string
	target       map[string]string // as manifest.Program.Target makes it
	stub         *ebpf.Program
	pin          string // where a bpf_link is pinned
	notice       func(string)
}

// attachers has one function per hook that attachments are possible for.
var attachers = map[Hook]func(*attachment, *net.Interface) (*Link, error){
	HookXDP: attachXDP,
	HookTC:  attachTC,
}

func attach(hook Hook, a *attachment) (*Link, error) {
	do := attachers[hook]
	if do == nil {
		return nil, fmt.Errorf("program %s: cannot attach to hook %s", a.program, hook)
	}
	dev, err := net.InterfaceByName(a.target["interface"])
	if err != nil {
		return nil, &ParamError{fmt.Errorf("program %s: no network interface %q", a.program, a.target["interface"])}
	}
	l, err := do(a, dev)
	if err != nil {
		return nil, fmt.Errorf("program %s: %w", a.program, err)
	}
	l.Interface, l.Ifindex = dev.Name, dev.Index
	return l, nil
}

// pinLink pins a link and lets go of it, so that the pin alone holds it.
func pinLink(l link.Link, path string) error {
	err := l.Pin(path)
	if cerr := l.Close(); err == nil {
		err = cerr
	}
	return err
}

// detachPin ends the link behind a pin at once, whoever else holds it.
func detachPin(path string) error {
	l, err := link.LoadPinnedLink(path, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("link %s: %w", path, err)
	}
	// A link whose device has gone has ended by itself.
	_ = l.Detach()
	err = unpin(path)
	return errors.Join(err, l.Close())
}

func (l *Link) detach() error {
	if l.Filter != nil {
		return l.Filter.remove(l.Ifindex, l.Direction)
	}
	return detachPin(l.Pin)
}
