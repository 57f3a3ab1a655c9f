// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

var skbAttach = map[string]ebpf.AttachType{"ingress": ebpf.AttachCGroupInetIngress, "egress": ebpf.AttachCGroupInetEgress}

var sockAddrAttach = map[string]ebpf.AttachType{
	"bind4": ebpf.AttachCGroupInet4Bind, "bind6": ebpf.AttachCGroupInet6Bind,
	"connect4": ebpf.AttachCGroupInet4Connect, "connect6": ebpf.AttachCGroupInet6Connect,
	"sendmsg4": ebpf.AttachCGroupUDP4Sendmsg, "sendmsg6": ebpf.AttachCGroupUDP6Sendmsg,
	"recvmsg4": ebpf.AttachCGroupUDP4Recvmsg, "recvmsg6": ebpf.AttachCGroupUDP6Recvmsg,
	"getpeername4": ebpf.AttachCgroupInet4GetPeername, "getpeername6": ebpf.AttachCgroupInet6GetPeername,
	"getsockname4": ebpf.AttachCgroupInet4GetSockname, "getsockname6": ebpf.AttachCgroupInet6GetSockname,
}

// attachCgroup attaches beside what is there (BPF_F_ALLOW_MULTI, as links do).
func attachCgroup(a *attachment) (*Link, error) {
	path, dir, op := a.target["cgroup"], a.target["direction"], a.target["operation"]
	typ, ok := skbAttach[dir]
	if a.hook == HookCgroupSockAddr {
		typ, ok = sockAddrAttach[op]
	}
	if !ok {
		return nil, fmt.Errorf("unknown direction or operation %q", dir+op)
	}
	where := path
	if op != "" {
		where = op + " in " + path
	}
	l, err := link.AttachCgroup(link.CgroupOptions{Path: path, Attach: typ, Program: a.stub})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &ParamError{fmt.Errorf("there is no cgroup %s", path)}
	}
	if err != nil {
		return nil, refusedBPF("attach to "+where, err)
	}
	out, err := a.pinned(l, where)
	if err == nil {
		out.Direction = dir
	}
	return out, err
}
