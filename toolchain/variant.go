// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/manifest"
)

// variant is a [[variant]] of iupkg.toml, decided for this build.
type variant struct {
	when  string
	holds bool
}

// decideVariants evaluates the conditions of iupkg.toml for the configuration that the
// object is built for; without one, none holds. In the source, a condition is
//
//	#[cfg(kconfig = "NUMA && !PREEMPT_RT")]
//
// in the very words of iupkg.toml, and the object requires of a kernel what was decided here.
func (b *builder) decideVariants(ctx context.Context) error {
	config := map[string]string{}
	if b.opts.KernelConfig != "" {
		var err error
		if config, err = kernel.ReadConfigFile(ctx, b.opts.KernelConfig); err != nil {
			return fmt.Errorf("kernel configuration: %w", err)
		}
		if len(b.project.Variants) == 0 {
			return projectError("variant", "there is none for a kernel configuration to choose")
		}
	}
	for _, v := range b.project.Variants {
		expr, err := manifest.ParseConfigExpr(boolean(v.When))
		if err != nil {
			return projectError("variant.when", "%v", err)
		}
		holds := manifest.TriN
		if b.opts.KernelConfig != "" {
			holds, _ = expr.Eval(func(sym string) (string, bool) { return config[sym], true })
		}
		b.variants = append(b.variants, variant{v.When, holds != manifest.TriN})
	}
	return nil
}

// maxVariants is how many objects a version may have (registry.MaxVariants).
const maxVariants = 64

// maxWorlds is how many configurations are tried to see which decisions are possible.
const maxWorlds = 1 << 14

var configWord = regexp.MustCompile(`"(?:\\.|[^"\\])*"|[A-Za-z0-9_]+`)

// variantChoices lists the ways in which a configuration can decide conditions, those in
// which fewest hold first. What no configuration can give, because the conditions contradict each
// other or one implies another, is not among them.
func variantChoices(list []manifest.Variant) ([][]variant, error) {
	var exprs []*manifest.ConfigExpr
	symbols, values := map[string]bool{}, map[string]bool{"n": true, "y": true}
	for _, v := range list {
		e, err := manifest.ParseConfigExpr(boolean(v.When))
		if err != nil {
			return nil, projectError("variant.when", "%v", err)
		}
		exprs = append(exprs, e)
		e.Eval(func(sym string) (string, bool) { symbols[sym] = true; return "", false })
		for _, w := range configWord.FindAllString(e.String(), -1) {
			if text, err := strconv.Unquote(w); err == nil {
				values[text] = true
			} else if n, err := strconv.ParseInt(w, 0, 64); err == nil {
				for _, near := range []int64{n - 1, n, n + 1} { // of < and the like, either side
					values[strconv.FormatInt(near, 10)] = true
				}
				values[w] = true
			} else if w == "m" {
				values["m"] = true
			}
		}
	}
	names, all := slices.Sorted(maps.Keys(symbols)), slices.Sorted(maps.Keys(values))
	worlds := 1
	for range names {
		if worlds *= len(all); worlds > maxWorlds {
			return nil, projectError("variant", "the conditions name too many symbols and values to tell which can hold together")
		}
	}
	found := map[string][]variant{}
	for world := range worlds {
		config := map[string]string{}
		for rest, i := world, 0; i < len(names); i++ {
			config[names[i]] = all[rest%len(all)]
			rest /= len(all)
		}
		var choice []variant
		key := make([]byte, len(list))
		for i, e := range exprs {
			v, _ := e.Eval(func(sym string) (string, bool) { return config[sym], true })
			choice = append(choice, variant{list[i].When, v != manifest.TriN})
			key[i] = '0'
			if choice[i].holds {
				key[i] = '1'
			}
		}
		found[string(key)] = choice
	}
	if len(found) > maxVariants {
		return nil, projectError("variant", "%d objects would have to be built, at most %d are allowed", len(found), maxVariants)
	}
	keys := slices.SortedFunc(maps.Keys(found), func(a, b string) int {
		return cmp.Or(strings.Count(a, "1")-strings.Count(b, "1"), strings.Compare(b, a))
	})
	out := make([][]variant, len(keys))
	for i, k := range keys {
		out[i] = found[k]
	}
	return out, nil
}

// variantFlags tell the compiler of the conditions.
func (b *builder) variantFlags() []string {
	var flags []string
	for _, v := range b.variants {
		flags = append(flags, "--check-cfg=cfg(kconfig, values("+strconv.Quote(v.when)+"))")
		if v.holds {
			flags = append(flags, "--cfg=kconfig="+strconv.Quote(v.when))
		}
	}
	return flags
}

// variantConfig is what a kernel's configuration must be for this object.
func (b *builder) variantConfig() []string {
	var out []string
	for _, v := range b.variants {
		if v.holds {
			out = append(out, boolean(v.when))
		} else {
			out = append(out, "!("+boolean(v.when)+")")
		}
	}
	return out
}

// bareSymbol is one that is not compared with anything.
var bareSymbol = regexp.MustCompile(`(^|[^A-Za-z0-9_"=<>])([A-Z][A-Za-z0-9_]*)($|[^A-Za-z0-9_"=<>!])`)

// boolean makes an expression n or y, with a symbol that is m counted as set: by the
// kernel's rules the opposite of m is m, so that both it and its opposite would hold.
func boolean(expr string) string {
	if e, err := manifest.ParseConfigExpr(expr); err == nil {
		expr = e.String() // no spaces around comparisons
	}
	for {
		next := bareSymbol.ReplaceAllString(expr, "${1}${2}!=n${3}")
		if next == expr {
			return expr
		}
		expr = next
	}
}
