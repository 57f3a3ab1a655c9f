// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/iupkg/iupkg/manifest"
)

// The image of a stock kernel in the cache gives BTF that knows its structures.
func TestImageBTF(t *testing.T) {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skip(err)
	}
	images, _ := filepath.Glob(filepath.Join(cache, "iupkg", "kernels", "*", "boot", "vmlinuz-*"))
	if len(images) == 0 {
		t.Skip("no kernel was fetched yet")
	}
	for _, image := range images {
		if strings.Contains(image, "rt-") || strings.Contains(image, "cloud") {
			continue // the same packing once more
		}
		raw, err := imageBTF(t.Context(), image)
		if err != nil {
			t.Errorf("%s: %v", image, err)
			continue
		}
		b, err := NewBTF(raw, nil)
		if err != nil {
			t.Errorf("%s: %v", image, err)
			continue
		}
		req, err := manifest.ParseBTFReq("struct sk_buff.len")
		if err != nil {
			t.Fatal(err)
		}
		if a, why := b.LookupBTF(req); a != manifest.Yes {
			t.Errorf("%s: sk_buff.len: %v, %s", image, a, why)
		}
	}
}

func TestBadImages(t *testing.T) {
	image := make([]byte, 4096)
	copy(image[0x202:], "HdrS")
	image[0x206], image[0x207] = 0x0f, 0x02
	for name, c := range map[string]struct {
		image []byte
		want  string
	}{
		"empty":            {nil, "not an x86"},
		"no image":         {make([]byte, 4096), "not an x86"},
		"payload too long": {append(append([]byte{}, image[:0x24c]...), append([]byte{0, 0, 1, 0}, image[0x250:]...)...), "its payload ends"},
		"old header":       {append(append([]byte{}, image[:0x206]...), append([]byte{7, 2}, image[0x208:]...)...), "version 0x207"},
	} {
		if _, err := bzPayload(c.image); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := unpack(t.Context(), []byte("what is this?\x00\x00\x00\x00")); err == nil || !strings.Contains(err.Error(), "not known") {
		t.Error(err)
	}
}
