// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
)

// TestMetal runs the script that measures bmc on two real machines on two ends of a pair of
// devices: each of the server's three states, and the client's figures of each.
func TestMetal(t *testing.T) {
	b, client := bmcBed(t, func(b *bed) { b.publish("extensions/bmc", "bmc", nil) })
	b.shell("mkdir -p /etc/iupkg && echo 'registry = \"" + b.GuestRegistry() + "\"' > /etc/iupkg/config.toml")
	script := b.Src + "/bench/bmc/metal.sh"
	rates := map[string]float64{}
	for _, mode := range []string{"alone", "bmc", "ebpf", "alone"} {
		b.shell("SETS=1024 " + script + " server vs " + mode)
		out := b.shell("SIZES=32 HITS='90 100' KEYS=64 SOCKETS=8 LENGTH=5s CLIENT=" + client + " ip netns exec client " + script + " client 10.1.0.1")
		for _, hit := range []string{"90", "100"} {
			m := regexp.MustCompile(fmt.Sprintf(`(?m)^  32 bytes, %3s%% hits: (\d+) requests/s, .*, \d+ lost `, hit)).FindStringSubmatch(out)
			if m == nil {
				t.Fatalf("%s at %s%%: no figures in\n%s", mode, hit, out)
			}
			rate, err := strconv.ParseFloat(m[1], 64)
			if err != nil || rate < 1 {
				t.Errorf("%s at %s%%: %s", mode, hit, m[0])
			}
			rates[mode+hit] = rate
		}
		t.Logf("%s\n%s", mode, out)
	}
	if rates["bmc100"] <= rates["alone100"] {
		t.Errorf("with bmc %.0f requests/s, without %.0f", rates["bmc100"], rates["alone100"])
	}
	b.checkLog()
}
