// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"context"
	"fmt"
	"regexp"
	"strconv"

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
