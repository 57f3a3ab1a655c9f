// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
)

// reportReloc says where in the source a kernel relocation is from.
type reportReloc struct {
	Type  string `json:"type"`
	Field string `json:"field"`
	At    string `json:"at"` // file:line
}

// knownKernels are the profiles in LibDir/profiles, newest names first.
func (b *builder) knownKernels() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(b.libDir, "profiles", "*.json"))
	slices.Sort(files)
	slices.Reverse(files)
	return files, err
}

// checkKernelTypes refuses a type or member of the kernel that no known kernel has and that is
// not marked as one that may be missing: it is misspelt, or nobody could install the package.
func (b *builder) checkKernelTypes(object, report []byte) error {
	o, err := kernel.ReadObject(object)
	if err != nil {
		return err
	}
	var missing []*kernel.ObjectKReloc
	for i := range o.KRelocs {
		if btfRequirement(&o.KRelocs[i]) != "" {
			missing = append(missing, &o.KRelocs[i])
		}
	}
	files, err := b.knownKernels()
	if err != nil || len(files) == 0 {
		return err
	}
	var known []string
	for _, file := range files {
		if len(missing) == 0 {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		p, err := manifest.ParseProfile(text, file)
		if err != nil {
			return fmt.Errorf("profile of a known kernel: %w", err)
		}
		known = append(known, p.Release)
		btf := kernel.BTFLookup(p)
		if btf == nil {
			return nil
		}
		missing = slices.DeleteFunc(missing, func(r *kernel.ObjectKReloc) bool {
			req, err := manifest.ParseBTFReq(btfRequirement(r))
			if err != nil {
				return true // the manifest's check says so
			}
			a, _ := btf.LookupBTF(req)
			return a != manifest.No
		})
	}
	if len(missing) == 0 {
		return nil
	}
	return unknownType(missing[0], report, known)
}

func unknownType(r *kernel.ObjectKReloc, report []byte, known []string) error {
	e := &RuleError{Rule: "no known kernel has " + btfRequirement(r),
		Why: "known are " + strings.Join(known, ", ") + "; a member that may be missing is marked with `?`"}
	pass, err := parseReport(report)
	if err != nil {
		return errors.Join(e, err)
	}
	for _, p := range pass.Relocs {
		if p.Type == r.Type && p.Field == r.Field {
			file, line, _ := strings.Cut(p.At, ":")
			e.File = file
			e.Line, _ = strconv.Atoi(line)
		}
	}
	return e
}
