// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Filter identifies one cls_bpf filter: only a filter that all of this fits is
// ours to remove.
type Filter struct {
	Name     string `json:"name"` // "iupkg:PACKAGE/PROGRAM"
	Handle   uint32 `json:"handle"`
	Priority uint16 `json:"priority"`
	Program  uint32 `json:"program"` // BPF program ID
	// Qdisc: this package made the clsact qdisc, and removes it with the last filter.
	Qdisc bool `json:"qdisc,omitempty"`
}

var tcxTypes = map[string]ebpf.AttachType{"ingress": ebpf.AttachTCXIngress, "egress": ebpf.AttachTCXEgress}

var clsactParents = map[string]uint32{"ingress": netlink.HANDLE_MIN_INGRESS, "egress": netlink.HANDLE_MIN_EGRESS}

// attachTC attaches by a TCX link where the kernel has them (6.6), else by a
// cls_bpf filter in direct-action mode.
func attachTC(a *attachment, dev *net.Interface) (*Link, error) {
	direction := a.target["direction"]
	typ, ok := tcxTypes[direction]
	if !ok {
		return nil, fmt.Errorf("unknown TC direction %q", direction)
	}
	l, err := link.AttachTCX(link.TCXOptions{Interface: dev.Index, Program: a.stub, Attach: typ})
	switch {
	case err == nil:
		return &Link{Kind: LinkTCX, Direction: direction, Pin: a.pin}, pinLink(l, a.pin)
	case !errors.Is(err, ebpf.ErrNotSupported):
		return nil, refused(fmt.Sprintf("attach TC to %s of %s", direction, dev.Name), "", cause(err))
	}
	f, err := addFilter(a, dev.Index, direction)
	if err != nil {
		return nil, refused(fmt.Sprintf("attach TC to %s of %s", direction, dev.Name), "", err)
	}
	return &Link{Kind: LinkClsBPF, Direction: direction, Filter: f}, nil
}

func filterName(pkg, program string) string { return "iupkg:" + pkg + "/" + program }

func clsact(ifindex int) *netlink.Clsact {
	return &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: ifindex, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
}

func addFilter(a *attachment, ifindex int, direction string) (_ *Filter, err error) {
	info, err := a.stub.Info()
	if err != nil {
		return nil, err
	}
	id, ok := info.ID()
	if !ok {
		return nil, errors.New("the program has no number")
	}
	f := &Filter{Name: filterName(a.pkg, a.program), Program: uint32(id)}
	switch err := netlink.QdiscAdd(clsact(ifindex)); {
	case err == nil:
		f.Qdisc = true
	case !errors.Is(err, unix.EEXIST):
		return nil, fmt.Errorf("add clsact qdisc: %w", err)
	}
	defer func() {
		if err != nil && f.Qdisc {
			_ = netlink.QdiscDel(clsact(ifindex))
		}
	}()
	// Priority and handle zero: the kernel picks a priority before all others.
	err = netlink.FilterAdd(&netlink.BpfFilter{
		FilterAttrs:  netlink.FilterAttrs{LinkIndex: ifindex, Parent: clsactParents[direction], Protocol: unix.ETH_P_ALL},
		Fd:           a.stub.FD(),
		Name:         f.Name,
		DirectAction: true,
	})
	if err != nil {
		return nil, fmt.Errorf("add cls_bpf filter: %w", err)
	}
	all, err := bpfFilters(ifindex, direction)
	if err != nil {
		return nil, err
	}
	for _, b := range all {
		if b.Name == f.Name && uint32(b.Id) == f.Program {
			f.Handle, f.Priority = b.Handle, b.Priority
			return f, nil
		}
	}
	return nil, errors.New("the filter that was added is not listed")
}

func bpfFilters(ifindex int, direction string) ([]*netlink.BpfFilter, error) {
	dev := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: ifindex}}
	all, err := netlink.FilterList(dev, clsactParents[direction])
	if err != nil {
		if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			return nil, nil // no such interface any more, or no qdisc
		}
		return nil, fmt.Errorf("list filters: %w", err)
	}
	var out []*netlink.BpfFilter
	for _, f := range all {
		if b, ok := f.(*netlink.BpfFilter); ok {
			out = append(out, b)
		}
	}
	return out, nil
}

// remove removes exactly this filter, and the qdisc if that was made for it
// and nobody else uses it. A filter that is gone is removed already.
func (f *Filter) remove(ifindex int, direction string) error {
	all, err := bpfFilters(ifindex, direction)
	if err != nil {
		return err
	}
	for _, b := range all {
		if b.Name != f.Name || b.Handle != f.Handle || b.Priority != f.Priority || uint32(b.Id) != f.Program {
			continue
		}
		if err := netlink.FilterDel(b); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) {
			return refused("remove filter "+f.Name, "", err)
		}
	}
	if f.Qdisc {
		return removeClsact(ifindex)
	}
	return nil
}

func removeClsact(ifindex int) error {
	dev := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: ifindex}}
	for _, parent := range clsactParents {
		if left, err := netlink.FilterList(dev, parent); err != nil || len(left) > 0 {
			return nil // in use by others, or the interface has gone
		}
	}
	err := netlink.QdiscDel(clsact(ifindex))
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENODEV) {
		return refused("remove clsact qdisc", "", err)
	}
	return nil
}

// removeFiltersOf removes every filter of a package, on all interfaces, by its
// name: for state that no record is left of.
func removeFiltersOf(pkg string) error {
	devs, err := net.Interfaces()
	if err != nil {
		return err
	}
	var errs []error
	for _, dev := range devs {
		for direction := range clsactParents {
			all, err := bpfFilters(dev.Index, direction)
			errs = append(errs, err)
			for _, b := range all {
				if strings.HasPrefix(b.Name, filterName(pkg, "")) {
					f := &Filter{Name: b.Name, Handle: b.Handle, Priority: b.Priority, Program: uint32(b.Id)}
					errs = append(errs, f.remove(dev.Index, direction))
				}
			}
		}
	}
	return errors.Join(errs...)
}
