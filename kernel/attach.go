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
	Kind      string `json:"kind"` // as above; of other hooks the hook's name
	Interface string `json:"interface,omitempty"`
	Ifindex   int    `json:"ifindex,omitempty"`
	Mode      string `json:"mode,omitempty"`      // xdp: native or generic
	Direction string `json:"direction,omitempty"` // tc, cgroup_skb: ingress or egress
	Where     string `json:"where,omitempty"`     // what it is attached to, in words
	Pin       string `json:"pin,omitempty"`       // of a bpf_link
	// More are the pins of further links: a perf event has one to each CPU.
	More []string `json:"more,omitempty"`

	Filter *Filter `json:"filter,omitempty"` // of cls_bpf
}

// attachment is one request to attach a stub.
type attachment struct {
	hook         Hook
	pkg, program string
	target       map[string]string // as manifest.Program.Target makes it
	stub         *ebpf.Program
	pin          string // where a bpf_link is pinned
	notice       func(string)
}

// attachers has one function per hook that attachments are possible for. A
// socket filter is attached by the process that has the socket.
var attachers = map[Hook]func(*attachment) (*Link, error){
	HookXDP:            onInterface(attachXDP),
	HookTC:             onInterface(attachTC),
	HookKprobe:         attachKprobe,
	HookKretprobe:      attachKprobe,
	HookUprobe:         attachUprobe,
	HookTracepoint:     attachTracepoint,
	HookPerfEvent:      attachPerfEvent,
	HookFentry:         attachTracing,
	HookFexit:          attachTracing,
	HookTPBTF:          attachTracing,
	HookLSM:            attachLSM,
	HookCgroupSKB:      attachCgroup,
	HookCgroupSockAddr: attachCgroup,
}

func attach(hook Hook, a *attachment) (*Link, error) {
	a.hook = hook
	do := attachers[hook]
	if do == nil {
		return nil, fmt.Errorf("program %s: cannot attach to hook %s", a.program, hook)
	}
	l, err := do(a)
	if err != nil {
		return nil, fmt.Errorf("program %s: %w", a.program, err)
	}
	if l.Kind == "" {
		l.Kind = hook.String()
	}
	return l, nil
}

// onInterface finds the network interface of a target.
func onInterface(do func(*attachment, *net.Interface) (*Link, error)) func(*attachment) (*Link, error) {
	return func(a *attachment) (*Link, error) {
		dev, err := net.InterfaceByName(a.target["interface"])
		if err != nil {
			return nil, &ParamError{fmt.Errorf("no network interface %q", a.target["interface"])}
		}
		l, err := do(a, dev)
		if err != nil {
			return nil, err
		}
		l.Interface, l.Ifindex = dev.Name, dev.Index
		return l, nil
	}
}

// pinned pins a link that has just been made.
func (a *attachment) pinned(l link.Link, where string) (*Link, error) {
	if err := pinLink(l, a.pin); err != nil {
		return nil, refusedBPF("pin the link to "+where, err)
	}
	return &Link{Where: where, Pin: a.pin}, nil
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
	var errs []error
	for _, pin := range append([]string{l.Pin}, l.More...) {
		errs = append(errs, detachPin(pin))
	}
	return errors.Join(errs...)
}
