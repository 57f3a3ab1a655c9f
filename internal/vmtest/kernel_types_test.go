// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"encoding/binary"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

// seenTypes mirrors struct Seen of runtime-crate/samples/kernel_types.
type seenTypes struct {
	Ifindex, MTU    uint32
	Name            [16]byte
	KobjName        [8]byte
	Len, PktType    uint32
	TstampType      uint32 // 255: there is none
	Missing, SKBuff uint32
	CWR             uint32
	HZ              uint64
	SMP, BadAddress uint32
}

// One object reads the kernel's structs on two kernels that lay them out differently.
func TestKernelTypes(t *testing.T) {
	offsets := map[string]string{}
	modules := map[string]bool{}
	for _, kernel := range []string{"6.12", "6.1"} {
		t.Run(kernel, func(t *testing.T) {
			b := newBed(t, kernel)
			b.publish("runtime-crate/samples/kernel_types", "kernel_types", nil)
			b.run(0, nil, "setup")
			b.run(0, nil, "trust", "add", b.TrustFile())
			b.checkKeyring()
			b.run(0, nil, "install", "kernel-types")
			b.talk(3)

			got := b.seenTypes()
			want := func(what string, got, want any) {
				t.Helper()
				if got != want {
					t.Errorf("%s: got %v, want %v", what, got, want)
				}
			}
			want("ifindex", int(got.Ifindex), atoi(t, b.shell("cat /sys/class/net/eth0/ifindex")))
			want("mtu", int(got.MTU), atoi(t, b.shell("cat /sys/class/net/eth0/mtu")))
			want("name", string(got.Name[:5]), "eth0\x00")
			want("name by two pointers", string(got.KobjName[:5]), "eth0\x00")
			want("packet type", got.PktType, uint32(0)) // PACKET_HOST
			want("missing member", got.Missing, uint32(1))
			want("bad address", got.BadAddress, uint32(1))
			want("enumerator", got.CWR, uint32(2)) // TCP_CA_CWR
			want("CONFIG_SMP", got.SMP, uint32(1))
			want("CONFIG_HZ", got.HZ, uint64(250))
			want("bit field of 6.12", got.TstampType != 255, kernel == "6.12")
			want("sk_buff", int(got.SKBuff), atoi(t, b.btf("sk_buff", `s/.*STRUCT 'sk_buff' size=\([0-9]*\).*/\1/p`)))
			if got.Len < 40 || got.Len > 65535 {
				t.Errorf("length of a packet: %d", got.Len)
			}
			offsets[kernel] = b.btf("net_device", `s/.*'ifindex' .*bits_offset=\([0-9]*\).*/\1/p`)

			// The module's name has the digest of the object.
			modules[strings.TrimSpace(b.shell("grep -o '^iux_[^ ]*' /proc/modules"))] = true
			b.run(0, nil, "remove", "kernel-types")
			b.shell("! grep ^iux_ /proc/modules")
			b.checkLog()
		})
	}
	if offsets["6.1"] == offsets["6.12"] {
		t.Errorf("net_device.ifindex is at bit %v of both kernels: choose another struct", offsets)
	}
	if len(modules) != 1 {
		t.Errorf("not one object but %v", modules)
	}
	t.Logf("net_device.ifindex at bit %v", offsets)
}

// btf picks a number from what bpftool says of a struct of the kernel.
func (b *bed) btf(name, sed string) string {
	b.t.Helper()
	return strings.TrimSpace(b.shell("bpftool btf dump file /sys/kernel/btf/vmlinux | awk -v s=\"'" + name + "'\" " +
		`'/^\[/ {on = ($2 == "STRUCT" && $3 == s)} on' | sed -n "` + sed + `" | head -n 1`))
}

// seenTypes reads the sample's map.
func (b *bed) seenTypes() seenTypes {
	b.t.Helper()
	var dump []struct{ Value []string }
	if err := json.Unmarshal([]byte(b.shell("bpftool --json map dump pinned /sys/fs/bpf/iupkg/kernel-types/maps/seen")), &dump); err != nil || len(dump) != 1 {
		b.t.Fatalf("map: %v, %d values", err, len(dump))
	}
	raw := make([]byte, len(dump[0].Value))
	for i, h := range dump[0].Value {
		n, err := strconv.ParseUint(h, 0, 8)
		if err != nil {
			b.t.Fatal(err)
		}
		raw[i] = byte(n)
	}
	var s seenTypes
	if n, err := binary.Decode(raw, binary.LittleEndian, &s); err != nil || n != len(raw) {
		b.t.Fatalf("a value of %d bytes, %d known: %v", len(raw), n, err)
	}
	return s
}
