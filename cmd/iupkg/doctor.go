// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
)

func (a *app) doctorCommand() *cobra.Command {
	var fix bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine lacks to run extensions, and what to do about it",
		Long: "Says what this machine lacks to run extensions, and what to do about it: kernel, runtime,\n" +
			"services and state, and whether the kernel has what is installed. With --fix it does what\n" +
			"iupkg can do about it: what setup does, fetching again what is corrupt, undoing what was\n" +
			"interrupted, loading again what is not as it was loaded.",
		GroupID: groupMachine,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if fix {
				if err := a.fix(cmd.Context()); err != nil {
					return err
				}
			}
			return a.doctor(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&fix, "fix", false, "mend what can be mended, then say what is left")
	return cmd
}

// fix mends what it can, and leaves it to the doctor to say what it could not.
func (a *app) fix(ctx context.Context) error {
	if err := a.needLive(); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return withHint(errors.New("mending changes the kernel"), "run it as root")
	}
	if _, err := a.setUp(ctx); err != nil {
		a.ui.warn("%v", err)
	}
	k, err := a.target(ctx)
	if err != nil {
		return err
	}
	env, err := a.env(k)
	if err != nil {
		return err
	}
	root := a.root()
	lock, err := root.Lock()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if err := lock.Recover(ctx, env); err != nil {
		return err
	}
	cur, err := root.Current()
	if err != nil {
		return err
	}
	for i := range cur.Packages {
		checks, err := root.Verify(ctx, env, &cur.Packages[i])
		if err != nil {
			return err
		}
		for _, c := range checks {
			if c.Mended {
				a.ui.step("%s: %s", c.Package, c.Detail)
			}
		}
	}
	done, err := lock.Restore(ctx, env)
	if err != nil {
		return err
	}
	for _, r := range done {
		switch {
		case r.Err != nil:
			a.ui.warn("%s %s: %v", r.Package, r.Version, r.Err)
		case r.Did == install.DidRemove:
			a.ui.step("unloaded %s %s, which is not installed", r.Package, r.Version)
		}
	}
	return nil
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
	list = append(list, a.serviceSymptoms()...)
	if more, err = a.driftSymptoms(ctx); err != nil {
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
	return append(list, hookSymptom(p))
}

// hookSymptom is about all hooks: a kernel that has some is fit for extensions at these, and the
// resolver looks at what each of them needs.
func hookSymptom(p *manifest.Profile) symptom {
	s := symptom{What: "hooks", OK: manifest.No}
	var found []string
	for _, h := range manifest.Hooks() {
		switch p.Hooks[h] {
		case manifest.Yes:
			s.OK = manifest.Yes
			found = append(found, string(h))
		case manifest.Unknown:
			if s.OK == manifest.No {
				s.OK = manifest.Unknown
			}
			found = append(found, string(h)+" (unknown)")
		}
	}
	if s.Found = strings.Join(found, " "); s.OK == manifest.No {
		s.Found, s.Do = "none", "run a kernel with CONFIG_BPF_SYSCALL=y"
		if p.ModuleBTF == manifest.No {
			s.Do = "run a kernel with module BTF"
		}
	}
	return s
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
		list = append(list, symptom{"interrupted transaction", manifest.No, "there is one", "iupkg doctor --fix undoes it, as does the next transaction"})
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

// serviceSymptoms are about what works when nobody is there.
func (a *app) serviceSymptoms() []symptom {
	boot := symptom{"loading at boot", manifest.Yes, unitLink, ""}
	if _, err := os.Stat("/etc/systemd/system"); err != nil {
		boot = symptom{"loading at boot", manifest.Unknown, "this system has no systemd", "run iupkg restore at boot"}
	} else if _, err := os.Lstat(unitLink); err != nil {
		boot = symptom{"loading at boot", manifest.Unknown, "the service is not installed", "iupkg setup"}
	}
	list := []symptom{boot}
	for i := range services {
		s := &services[i]
		missing, err := a.missing(s)
		if err == nil && missing {
			list = append(list, symptom{"service", manifest.Unknown, s.path + " is not there, or not as this iupkg makes it", "iupkg setup"})
		}
	}
	return list
}

// driftSymptoms compare what is installed with the kernel and the store.
func (a *app) driftSymptoms(ctx context.Context) ([]symptom, error) {
	cur, err := a.root().Current()
	if err != nil || len(cur.Packages) == 0 {
		return nil, err
	}
	env, err := a.env(nil)
	if err != nil {
		return nil, err
	}
	env.Source = nil // the doctor looks, --fix mends
	var list []symptom
	for i := range cur.Packages {
		p := &cur.Packages[i]
		checks, err := a.root().Verify(ctx, env, p)
		if err != nil {
			return nil, err
		}
		what := "package " + p.Name
		s := symptom{what, manifest.Yes, p.Version + ", store and kernel are as they should be", ""}
		for _, c := range checks {
			if !c.OK {
				list = append(list, symptom{what, manifest.No, c.Detail, "iupkg doctor --fix"})
				s.What = ""
			}
		}
		if s.What != "" {
			list = append(list, s)
		}
	}
	return list, nil
}
