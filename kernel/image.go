// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"compress/gzip"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/iupkg/iupkg/manifest"
	"github.com/klauspost/compress/zstd"
)

const maxVmlinux = 512 << 20 // bytes, unpacked

// FactsOf reads what a kernel that is installed and does not run will offer, from
// its configuration and its image /boot/vmlinuz-RELEASE: what hooks it has is
// derived, as it cannot be probed. What its command line will say of modules is
// taken to be what the running kernel's says. notice is told why there is no BTF, if
// that is so.
func FactsOf(ctx context.Context, release string, notice func(string)) (*manifest.Profile, error) {
	p := &manifest.Profile{Schema: manifest.Schema, Release: release, Arch: runtime.GOARCH}
	config, file := configOf(ctx, release)
	p.Config, p.ConfigSource = config.all(), file
	image := filepath.Join("/boot", "vmlinuz-"+release)
	btf, err := imageBTF(ctx, image)
	switch {
	case errors.Is(err, os.ErrNotExist) && p.Config == nil:
		return nil, fmt.Errorf("kernel %s is not installed: %w", release, err)
	case err != nil:
		notice(fmt.Sprintf("what needs BTF cannot be checked: %s: %v", image, err))
	}
	p.BTF = btf
	p.Modules = enabled(p.LookupConfig, "MODULES")
	p.ModuleBTF = enabled(p.LookupConfig, "DEBUG_INFO_BTF_MODULES")
	if errors.Is(err, errNoBTF) {
		p.ModuleBTF = manifest.No
	}
	p.Lockdown = lockdown(p.LookupConfig)
	p.ModuleSig = signatureEnforced(p.Lockdown, p.LookupConfig)
	p.Hooks = map[manifest.Hook]manifest.Answer{}
	for _, h := range manifest.Hooks() {
		p.Hooks[h] = deriveHook(h, p)
	}
	return p, nil
}

// deriveHook goes by the options that a stub of the hook needs.
func deriveHook(h manifest.Hook, p *manifest.Profile) manifest.Answer {
	if _, err := ParseHook(h); err != nil {
		return manifest.Unknown
	}
	needs := []manifest.Answer{enabled(p.LookupConfig, "BPF_SYSCALL"), enabled(p.LookupConfig, "BPF_JIT"), enabled(p.LookupConfig, "NET"), p.ModuleBTF, p.Modules}
	if h == manifest.HookTC {
		needs = append(needs, enabled(p.LookupConfig, "NET_CLS_ACT"))
	}
	all := manifest.Yes
	for _, a := range needs {
		switch a {
		case manifest.No:
			return manifest.No
		case manifest.Unknown, "":
			all = manifest.Unknown
		}
	}
	return all
}

var errNoBTF = errors.New("the kernel has no BTF")

// imageBTF takes the BTF out of a bzImage: unpacks the ELF file inside and reads
// its section .BTF.
func imageBTF(ctx context.Context, path string) ([]byte, error) {
	image, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	packed, err := bzPayload(image)
	if err != nil {
		return nil, err
	}
	vmlinux, err := unpack(ctx, packed)
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	f, err := elf.NewFile(bytes.NewReader(vmlinux))
	if err != nil {
		return nil, err
	}
	s := f.Section(".BTF")
	if s == nil {
		return nil, errNoBTF
	}
	if s.Size > manifest.MaxBTF {
		return nil, fmt.Errorf("it has %d bytes, at most %d are read", s.Size, manifest.MaxBTF)
	}
	return s.Data()
}

// bzPayload is the packed kernel in a bzImage, by the fields of its header
// (Documentation/arch/x86/boot.rst: setup_sects, header, payload_offset and
// payload_length).
func bzPayload(image []byte) ([]byte, error) {
	const setupSects, magic, version, offset, length = 0x1f1, 0x202, 0x206, 0x248, 0x24c
	if len(image) < length+4 || string(image[magic:magic+4]) != "HdrS" {
		return nil, errors.New("it is not an x86 kernel image")
	}
	if v := binary.LittleEndian.Uint16(image[version:]); v < 0x208 {
		return nil, fmt.Errorf("its header has version %#x, want 0x208 at least", v)
	}
	sects := uint64(image[setupSects])
	if sects == 0 {
		sects = 4
	}
	from := (sects+1)*512 + uint64(binary.LittleEndian.Uint32(image[offset:]))
	to := from + uint64(binary.LittleEndian.Uint32(image[length:]))
	if to > uint64(len(image)) {
		return nil, fmt.Errorf("its payload ends at %d, the file at %d", to, len(image))
	}
	return image[from:to], nil
}

// unpack knows what Linux images are packed with, by their first bytes. After the
// packed data there are four bytes with the unpacked length, which are not part of
// it.
func unpack(ctx context.Context, packed []byte) ([]byte, error) {
	if len(packed) < 8 {
		return nil, io.ErrUnexpectedEOF
	}
	body := packed[:len(packed)-4]
	if want := binary.LittleEndian.Uint32(packed[len(packed)-4:]); want > maxVmlinux {
		return nil, fmt.Errorf("%d bytes, at most %d are unpacked", want, maxVmlinux)
	}
	for _, c := range []struct {
		magic string
		argv  []string
	}{
		{"\xfd7zXZ\x00", []string{"xz", "-dc", "--single-stream"}},
		{"\x5d\x00\x00", []string{"xz", "-dc", "--format=lzma"}},
		{"\x02\x21", []string{"lz4", "-dc"}},
	} {
		if bytes.HasPrefix(body, []byte(c.magic)) {
			cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
			cmd.Stdin = bytes.NewReader(body)
			return cmd.Output()
		}
	}
	if bytes.HasPrefix(body, []byte("\x28\xb5\x2f\xfd")) { // by ourselves: Debian's own kernels are, and its base system has no tool
		z, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxVmlinux), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		return z.DecodeAll(body, nil)
	}
	if bytes.HasPrefix(body, []byte("\x1f\x8b")) {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		z.Multistream(false)
		return io.ReadAll(io.LimitReader(z, maxVmlinux))
	}
	if bytes.HasPrefix(packed, []byte(elf.ELFMAG)) {
		return packed, nil
	}
	return nil, fmt.Errorf("packed in a way that is not known (% x)", body[:4])
}
