// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/iupkg/iupkg/bench/bmc/frames"
	"github.com/iupkg/iupkg/bench/chart"
)

// A section of the document is a table of the figures whose names are its, between markers of its own.
type section struct {
	marker string
	head   func(r *report) string
	beside string // what the baseline is, as a column's title
	has    func(name string) bool
}

func isBMC(name string) bool { return strings.HasPrefix(name, "bmc.") }

// besideEBPF are the figures of bmc whose baseline is the design in eBPF.
func besideEBPF(name string) bool {
	return isBMC(name) && !besideMemcached(name) && !besideOneThread(name)
}

// besideOneThread are those whose baseline is one thread of several.
func besideOneThread(name string) bool { return strings.HasPrefix(name, "bmc.host.threads") }

// besideMemcached are those whose baseline is memcached alone.
func besideMemcached(name string) bool {
	return strings.HasPrefix(name, "bmc.get.memcached") || strings.HasPrefix(name, "bmc.load.")
}

var sections = []section{
	{"bench", func(r *report) string {
		return fmt.Sprintf("\nKernel %s. Mitigations of the emulated CPU:\n%s.\n", r.Kernel, r.mitigations())
	}, "the same in eBPF", func(name string) bool { return !isBMC(name) }},
	{"bmc", nil, "BMC in eBPF", besideEBPF},
	{"bmc-memcached", nil, "memcached alone", besideMemcached},
	{"bmc-threads", nil, "one thread", besideOneThread},
}

// table is what stands between the markers; nil: nothing of it was measured, so that what stands there stays.
func (s section) table(r *report) []byte {
	var b bytes.Buffer
	for _, f := range r.Results {
		if !s.has(f.Name) {
			continue
		}
		base, ratio := "", ""
		most, _ := f.ratioTarget()
		if target, ok := f.target(); ok {
			most = show(target)
		}
		if f.Baseline != nil {
			base, ratio = show(*f.Baseline), strconv.FormatFloat(*f.Ratio, 'f', 2, 64)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", f.Name, show(f.Value), f.Unit, most, base, ratio)
	}
	if b.Len() == 0 {
		return nil
	}
	head := ""
	if s.head != nil {
		head = s.head(r)
	}
	return fmt.Appendf(nil, "%s\n| figure | value | unit | target | %s | ratio |\n| --- | ---: | --- | ---: | ---: | ---: |\n%s\n", head, s.beside, b.Bytes())
}

// values are a figure's and its baseline's at each of these suffixes.
func (r *report) values(name string, suffixes []string) (value, baseline []float64, any bool) {
	for _, suffix := range suffixes {
		v, b := math.NaN(), math.NaN()
		if i := slices.IndexFunc(r.Results, func(f result) bool { return f.Name == name+suffix }); i >= 0 {
			v, any = r.Results[i].Value, true
			if r.Results[i].Baseline != nil {
				b = *r.Results[i].Baseline
			}
		}
		value, baseline = append(value, v), append(baseline, b)
	}
	return value, baseline, any
}

// drawFigures draws what has been measured, as SVG and PNG, into a folder.
func (r *report) drawFigures(dir string) error {
	var sizes, suffixes []string
	for _, size := range frames.Sizes {
		sizes, suffixes = append(sizes, fmt.Sprintf("%d bytes", size)), append(suffixes, frames.Suffix(size))
	}
	charts := map[string]*chart.Bars{}
	if value, base, ok := r.values("bmc.get.hit", suffixes); ok {
		charts["bmc-hit"] = &chart.Bars{Title: "A hit, the program alone, by size of the value", Unit: "guest instructions", Groups: sizes,
			Series: []chart.Series{{Name: "BMC in eBPF", Values: base}, {Name: "bmc", Values: value}}}
	}
	if value, base, ok := r.values("bmc.get.memcached", suffixes); ok {
		inEBPF, _, _ := r.values("bmc.get.ebpf", suffixes)
		charts["bmc-path"] = &chart.Bars{Title: "A get, packet in to packet out, by size of the value", Unit: "guest instructions", Groups: sizes,
			Series: []chart.Series{{Name: "memcached", Values: base}, {Name: "BMC in eBPF", Values: inEBPF}, {Name: "bmc", Values: value}}}
	}
	loads := []string{"hit50", "hit90", "hit100", "keys64", "keys1024", "keys8192"}
	if value, base, ok := r.values("bmc.load.", loads); ok {
		var inEBPF []float64
		for _, l := range loads {
			v, _, _ := r.values("bmc.load."+l+".ebpf", []string{""})
			inEBPF = append(inEBPF, v...)
		}
		charts["bmc-load"] = &chart.Bars{Title: "Requests answered in 10⁹ guest instructions", Unit: "requests",
			Groups: []string{"50% hits", "90% hits", "all hits", "64 keys", "1024 keys", "8192 keys"},
			Series: []chart.Series{{Name: "memcached", Values: base}, {Name: "BMC in eBPF", Values: inEBPF}, {Name: "bmc", Values: value}}}
	}
	if value, base, ok := r.values("bmc.host.hit", suffixes); ok {
		charts["bmc-host"] = &chart.Bars{Title: "A hit on the host's processor: bmc in user space, eBPF by BPF_PROG_TEST_RUN", Unit: "ns", Groups: sizes,
			Series: []chart.Series{{Name: "BMC in eBPF", Values: base}, {Name: "bmc", Values: value}}}
	}
	works := []string{"map.array.lookup", "map.hash.lookup", "lock.pair", "ringbuf.reserve_commit", "packet.parse_rewrite", "recursion.33"}
	if value, base, ok := r.values("", works); ok {
		charts["runtime"] = &chart.Bars{Title: "The same work in an extension and in eBPF", Unit: "guest instructions",
			Groups: []string{"array", "hash", "lock pair", "ring buffer", "rewrite", "recursion 33"},
			Series: []chart.Series{{Name: "eBPF", Values: base}, {Name: "extension", Values: value}}}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, c := range charts {
		picture, err := c.PNG()
		if err != nil {
			return err
		}
		for suffix, b := range map[string][]byte{".svg": c.SVG(), ".png": picture} {
			if err := os.WriteFile(filepath.Join(dir, name+suffix), b, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
