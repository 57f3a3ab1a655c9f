// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "doctor",
		Short:   "Say what this machine lacks to run extensions, and what to do about it",
		GroupID: groupMachine,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context()) },
	}
}

// symptom is one thing the doctor looked at.
type symptom struct {
	What  string          `json:"what"`
	OK    manifest.Answer `json:"ok"`
	Found string          `json:"found"`
	Do    string          `json:"do,omitempty"`
}

var errUnwell = errors.New("this machine cannot run extensions as it is")

func (a *app) doctor(ctx context.Context) error {
	if err := a.needLive(); err != nil {
		return err
	}
	p, err := a.profile(ctx)
	if err != nil {
		return err
	}
	list := kernelSymptoms(p)
	list = append(list, a.runtimeSymptoms(p.Release)...)
	more, err := a.stateSymptoms()
	if err != nil {
		return err
	}
	list = append(list, more...)
	bad := 0
	var rows []string
	for _, s := range list {
		state := "ok"
		switch s.OK {
		case manifest.No:
			bad++
			state = "no"
		case manifest.Unknown, "":
			state = "?"
		}
		rows = append(rows, row(s.What, state, s.Found, s.Do))
	}
	err = a.ui.answer(list, func(w io.Writer) { table(w, "WHAT\tOK\tFOUND\tDO", rows...) })
	if err == nil && bad > 0 {
		err = errUnwell
	}
	return err
}

func kernelSymptoms(p *manifest.Profile) []symptom {
	btf := symptom{"kernel BTF", manifest.Yes, size(int64(len(p.BTF))), ""}
	if len(p.BTF) == 0 {
		btf = symptom{"kernel BTF", manifest.No, "/sys/kernel/btf/vmlinux is not there or cannot be read", "run a kernel with CONFIG_DEBUG_INFO_BTF=y, such as Debian's"}
	}
	list := []symptom{
		btf,
		{"module BTF", p.ModuleBTF, answer(p.ModuleBTF), unless(p.ModuleBTF, "run a kernel with CONFIG_DEBUG_INFO_BTF_MODULES=y")},
		{"modules may be loaded", p.Modules, answer(p.Modules), unless(p.Modules, "run a kernel with CONFIG_MODULES=y and kernel.modules_disabled=0")},
	}
	free := manifest.Unknown
	switch p.ModuleSig {
	case manifest.Yes:
		free = manifest.No
	case manifest.No:
		free = manifest.Yes
	}
	list = append(list, symptom{"unsigned modules may be loaded", free, answer(free), unless(free, "turn off module.sig_enforce and lockdown")})
	for _, h := range manifest.Hooks() {
		list = append(list, symptom{"hook " + string(h), p.Hooks[h], answer(p.Hooks[h]), ""})
	}
	return list
}

func unless(a manifest.Answer, do string) string {
	if a == manifest.No {
		return do
	}
	return ""
}

func (a *app) runtimeSymptoms(release string) []symptom {
	var list []symptom
	if file, err := a.runtimeFile(release); err == nil {
		list = append(list, symptom{"iu.ko for this kernel", manifest.Yes, file, ""})
	} else if headers, herr := filepath.EvalSymlinks(filepath.Join("/lib/modules", release, "build")); herr == nil {
		list = append(list, symptom{"iu.ko for this kernel", manifest.No, "not built; headers are at " + headers, "iupkg setup builds it"})
	} else {
		list = append(list, symptom{"iu.ko for this kernel", manifest.No, "not there, nor are headers to build it with", "apt-get install linux-headers-" + release + ", then iupkg setup"})
	}
	dev, err := kernel.OpenDevice()
	if err != nil {
		return append(list, symptom{"iu.ko is loaded", manifest.No, err.Error(), "iupkg setup"})
	}
	defer dev.Close()
	v, err := dev.Version()
	if err != nil {
		return append(list, symptom{"iu.ko is loaded", manifest.No, err.Error(), "iupkg setup"})
	}
	list = append(list, symptom{"iu.ko is loaded", manifest.Yes, fmt.Sprintf("UAPI %d, object ABI %d, stacks of %s", v.UAPI, v.ABI, size(int64(v.StackBytes))), ""})
	policy, err := a.policy()
	if err != nil {
		return list
	}
	keys := symptom{"kernel's keyring", manifest.Yes, fmt.Sprintf("%s, policy has %d", count(v.Keys, "certificate"), len(policy.Certificates())), ""}
	if v.Sealed {
		keys.Found += ", sealed"
	}
	if v.Keys < len(policy.Certificates()) {
		keys.OK, keys.Do = manifest.No, "iupkg setup"
		if v.Sealed {
			keys.Do = "reboot, then iupkg setup"
		}
	}
	return append(list, keys)
}

func (a *app) stateSymptoms() ([]symptom, error) {
	var list []symptom
	if os.Geteuid() != 0 {
		list = append(list, symptom{"privilege", manifest.No, fmt.Sprintf("user %d", os.Geteuid()), "run iupkg as root"})
	}
	var st unix.Statfs_t
	if err := unix.Statfs("/sys/fs/bpf", &st); err == nil && st.Type == unix.BPF_FS_MAGIC {
		list = append(list, symptom{"bpffs", manifest.Yes, "/sys/fs/bpf", ""})
	} else {
		list = append(list, symptom{"bpffs", manifest.Unknown, "not mounted at /sys/fs/bpf", "the first install mounts it"})
	}
	pending, err := a.root().Pending()
	if err != nil {
		return nil, err
	}
	if pending {
		list = append(list, symptom{"interrupted transaction", manifest.No, "there is one", "the next install or remove undoes it"})
	}
	policy, err := a.policy()
	if err != nil {
		return nil, err
	}
	trusted := symptom{"trusted publishers", manifest.Yes, fmt.Sprint(len(policy.List())), ""}
	if len(policy.List()) == 0 {
		trusted.OK, trusted.Do = manifest.No, "iupkg trust add FILE"
	}
	list = append(list, trusted)
	if a.registry == "" {
		return append(list, symptom{"registry", manifest.Unknown, "none configured", "write registry = \"host/prefix\" to " + a.configPath}), nil
	}
	return append(list, symptom{"registry", manifest.Yes, a.registry, ""}), nil
}
