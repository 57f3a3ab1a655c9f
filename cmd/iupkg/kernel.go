// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
)

const liveKernel = "live"

// profile is the kernel that --kernel names.
func (a *app) profile(ctx context.Context) (*manifest.Profile, error) {
	return readProfile(ctx, a.kernel)
}

func readProfile(ctx context.Context, file string) (*manifest.Profile, error) {
	if file == liveKernel {
		return kernel.Facts(ctx)
	}
	data, err := readInput(file, manifest.MaxProfile)
	if err != nil {
		return nil, withHint(usageError{err}, "a profile is made by iupkg kernel --save FILE on the machine in question")
	}
	p, err := manifest.ParseProfile(data, file)
	if err != nil {
		return nil, usageError{err}
	}
	return p, nil
}

// target is the kernel that is resolved against.
func (a *app) target(ctx context.Context) (manifest.Kernel, error) {
	return openTarget(ctx, a.kernel)
}

// openTarget is the kernel of a profile, or the live one.
func openTarget(ctx context.Context, file string) (manifest.Kernel, error) {
	if file == liveKernel {
		return kernel.OpenRunning(ctx)
	}
	p, err := readProfile(ctx, file)
	if err != nil {
		return nil, err
	}
	return kernelOf(p), nil
}

func kernelOf(p *manifest.Profile) manifest.Kernel { return p.Kernel(kernel.BTFLookup(p)) }

// needLive refuses a profile of another machine where this one is to be changed.
func (a *app) needLive() error {
	if a.kernel != liveKernel {
		return withHint(usageError{errors.New("--kernel names a profile, but this changes the running kernel")}, "iupkg resolve --kernel %s says what would be installed there", a.kernel)
	}
	return nil
}

func (a *app) kernelCommand() *cobra.Command {
	var save string
	cmd := &cobra.Command{
		Use:     "kernel",
		Short:   "Facts of the kernel; --save makes a profile for --kernel on any machine",
		GroupID: groupMachine,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.profile(cmd.Context())
			if err != nil {
				return err
			}
			if save != "" {
				encode := manifest.EncodeProfile
				if strings.HasSuffix(save, ".gz") {
					encode = manifest.CompressProfile
				}
				data, err := encode(p)
				if err != nil {
					return err
				}
				if err := os.WriteFile(save, data, 0o644); err != nil {
					return err
				}
				a.ui.step("saved the profile of %s to %s, %s", p.Release, save, size(int64(len(data))))
				if !a.ui.json {
					return nil
				}
			}
			return a.ui.answer(p, func(w io.Writer) { writeProfile(w, p) })
		},
	}
	cmd.Flags().StringVar(&save, "save", "", "write the profile to a `file`, compressed if it ends in .gz")
	return cmd
}

func writeProfile(w io.Writer, p *manifest.Profile) {
	config := "could not be read"
	if p.Config != nil {
		config = fmt.Sprintf("%s, from %s", count(len(p.Config), "symbol"), p.ConfigSource)
	}
	btf := "none, or could not be read"
	if len(p.BTF) > 0 {
		btf = size(int64(len(p.BTF)))
	}
	runtime := "not loaded"
	if r := p.Runtime; r != nil {
		runtime = fmt.Sprintf("UAPI %d, object ABI %d", r.UAPI, r.ABI)
		if r.MinABI > 0 && r.MinABI < r.ABI {
			runtime = fmt.Sprintf("UAPI %d, object ABI %d to %d", r.UAPI, r.MinABI, r.ABI)
		}
		if r.Version != "" {
			runtime = r.Version + ", " + runtime
		}
	}
	symbols := "could not be read"
	if p.Symbols != nil {
		symbols = fmt.Sprint(len(p.Symbols))
	}
	modules := "none"
	if len(p.ModuleTypes) > 0 {
		modules = count(len(p.ModuleTypes), "module")
	}
	rows := []string{
		row("release", p.Release),
		row("version", p.Version),
		row("arch", p.Arch),
		row("config", config),
		row("BTF", btf),
		row("module BTF", answer(p.ModuleBTF)),
		row("modules allowed", answer(p.Modules)),
		row("module signatures enforced", answer(p.ModuleSig)),
		row("lockdown", answer(p.Lockdown)),
		row("exported symbols", symbols),
		row("types of modules", modules),
	}
	for _, h := range slices.Sorted(maps.Keys(p.Hooks)) {
		rows = append(rows, row("hook "+string(h), answer(p.Hooks[h])))
	}
	rows = append(rows, row("runtime", runtime))
	for _, x := range p.Extensions {
		rows = append(rows, row("extension "+x.Name, x.Version))
	}
	for _, k := range slices.Sorted(maps.Keys(p.Mitigations)) {
		if m, ok := strings.CutPrefix(p.Mitigations[k], "Mitigation: "); ok {
			rows = append(rows, row("mitigation of "+k, m))
		}
	}
	table(w, "", rows...)
}

func answer(a manifest.Answer) string {
	switch a {
	case manifest.Yes, manifest.No:
		return string(a)
	}
	return "could not tell"
}
