// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// Files of a build, in its scratch folder.
const (
	fileArchive = "crate.a"
	fileLinked  = "linked.bc"
	fileFinal   = "final.bc"
	fileReport  = "report.json"
	fileRaw     = "raw.o"
	fileDebug   = "debug.o"
	fileObject  = "object.o"
	fileTypes   = "types.btf"
)

// Files that are left beside the object.
const (
	fileManifest   = "manifest.json"
	fileProvenance = "provenance.json"
	fileSBOM       = "sbom.json"

	passName = "iu-pass.so"
)

// notInKernel are library functions that LLVM makes calls to where it recognises a
// loop or a pattern, and that the runtime does not offer.
var notInKernel = []string{"strlen", "wcslen", "memchr", "memccpy", "mempcpy", "stpcpy", "memset_pattern16"}

// link makes the object from the archive: one module, optimised as a whole,
// instrumented and audited.
func (b *builder) link(ctx context.Context, work string) error {
	begins(ctx, stepPass)
	plugin := b.passPath()
	if _, err := os.Stat(plugin); err != nil {
		return &MissingError{What: plugin}
	}
	run := func(tool string, args ...string) error {
		_, err := command{path: filepath.Join(b.tools.llvm, tool), args: args, dir: work}.run(ctx)
		return err
	}
	if err := run("llvm-link", fileArchive, "-o", fileLinked); err != nil {
		return err
	}
	p := b.project.Package
	opt := []string{"--load-pass-plugin=" + plugin, fileLinked, "-o", fileFinal,
		"--passes=iu-prepare,lto<O2>,iu<name=" + p.Name + ";version=" + p.Version + ";report=" + fileReport + ">"}
	for _, f := range notInKernel {
		opt = append(opt, "--disable-builtin="+f)
	}
	if err := run("opt", opt...); err != nil {
		return passError(err)
	}
	return run("llc", "-O2", "--filetype=obj", "--code-model=kernel", "--relocation-model=static",
		"--stack-size-section",
		// One .text: cold functions would otherwise get sections of their own.
		"--function-sections=0", "--data-sections=0", "--profile-guided-section-prefix=false",
		// Where Rust says that nothing goes on, nothing does.
		"--trap-unreachable",
		// Arguments are not pushed, so that a frame's size is all of it.
		"--no-x86-call-frame-opt",
		fileFinal, "-o", fileRaw)
}

func (b *builder) passPath() string { return filepath.Join(b.libDir, "llvm", passName) }

// passError gives the pass's own findings without opt's frame around them.
func passError(err error) error {
	var t *toolError
	if !errors.As(err, &t) {
		return err
	}
	var own []string
	for line := range strings.Lines(t.said) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "error: iu:") {
			own = append(own, strings.TrimSpace(strings.TrimPrefix(line, "error: iu:")))
		}
	}
	if len(own) == 0 {
		return err
	}
	return &RuleError{Rule: strings.Join(own, "\n"), Why: "the compiled program has what the runtime cannot allow; see llvm/README.md"}
}

// split takes debug information and whatever is of no use in the kernel out of the
// object.
func (b *builder) split(ctx context.Context, work string) error {
	begins(ctx, stepMachine)
	objcopy := func(args ...string) error {
		_, err := command{path: filepath.Join(b.tools.llvm, "llvm-objcopy"), args: args, dir: work}.run(ctx)
		return err
	}
	if err := objcopy("--only-keep-debug", fileRaw, fileDebug); err != nil {
		return err
	}
	if err := objcopy("--strip-debug", "--wildcard", "--remove-section=.note*", "--remove-section=.comment",
		"--remove-section=.stack_sizes", "--remove-section=.eh_frame", "--remove-section=.llvm*", fileRaw, fileObject); err != nil {
		return err
	}
	return b.addTypes(work, objcopy)
}
