// SPDX-License-Identifier: Apache-2.0

package toolchain

import "context"

// Progress is told that a build begins step number done, from 0, of total, and what it
// does in it. A build of several objects begins anew for each.
type Progress func(done, total int, what string)

type progressKey struct{}

// WithProgress is a context in which builds tell how far they are.
func WithProgress(ctx context.Context, p Progress) context.Context {
	return context.WithValue(ctx, progressKey{}, p)
}

// The steps of a build that take time.
var steps = []string{stepVet, stepCompile, stepPass, stepMachine, stepRecord}

const (
	stepVet     = "looking at its dependencies"
	stepCompile = "compiling"
	stepPass    = "instrumenting"
	stepMachine = "making machine code"
	stepRecord  = "recording what went in"
)

func begins(ctx context.Context, step string) {
	p, ok := ctx.Value(progressKey{}).(Progress)
	if !ok {
		return
	}
	for i, s := range steps {
		if s == step {
			p(i, len(steps), step)
		}
	}
}
