// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/install"
)

func (a *app) removeCommand() *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:     "remove NAME…",
		Aliases: []string{"rm"},
		Short:   "Detach and remove packages, and what only they needed",
		GroupID: groupPackages,
		Args:    someArgs("NAME"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.remove(cmd.Context(), args, dry) },
	}
	cmd.Flags().BoolVarP(&dry, "dry-run", "n", false, "show the plan and stop")
	return cmd
}

func (a *app) remove(ctx context.Context, names []string, dry bool) error {
	if err := a.needLive(); err != nil {
		return err
	}
	env, err := a.env(nil)
	if err != nil {
		return err
	}
	return a.transact(ctx, env, dry, func(cur *install.Generation) (*install.Plan, error) {
		target, err := a.without(cur, names)
		if err != nil {
			return nil, err
		}
		return install.NewPlan(cur, "remove "+strings.Join(names, " "), target), nil
	})
}

// without is the generation less some packages, and less those that came only
// because others needed them and are needed no more.
func (a *app) without(cur *install.Generation, names []string) ([]install.Item, error) {
	for _, n := range names {
		if cur.Find(n) == nil {
			return nil, withHint(fmt.Errorf("%s: %w", n, errNotInstalled), "iupkg list says what is")
		}
	}
	root := a.root()
	needs := map[string][]string{}
	for i := range cur.Packages {
		p := &cur.Packages[i]
		if slices.Contains(names, p.Name) {
			continue
		}
		m, err := root.Manifest(p)
		if err != nil {
			return nil, withHint(err, "iupkg verify %s fetches it again", p.Name)
		}
		for dep := range m.Dependencies {
			needs[dep] = append(needs[dep], p.Name)
		}
	}
	for _, n := range names {
		if by := needs[n]; len(by) > 0 {
			return nil, withHint(fmt.Errorf("%s is needed by %s", n, strings.Join(by, ", ")), "remove %s too", strings.Join(by, " "))
		}
	}
	items := slices.DeleteFunc(cur.Items(), func(i install.Item) bool { return slices.Contains(names, i.Name) })
	for {
		n := len(items)
		items = slices.DeleteFunc(items, func(i install.Item) bool {
			return i.Auto && !slices.ContainsFunc(needs[i.Name], func(by string) bool {
				return slices.ContainsFunc(items, func(o install.Item) bool { return o.Name == by })
			})
		})
		if len(items) == n {
			return items, nil
		}
	}
}

// transact makes a plan from the generation in force and carries it out. With
// dry it only shows the plan, which is then made without a lock.
func (a *app) transact(ctx context.Context, env *install.Env, dry bool, plan func(*install.Generation) (*install.Plan, error)) error {
	return a.transactTried(ctx, env, installOptions{dry: dry}, plan)
}

// transactTried is transact with a trial in a machine first, if that is asked for.
func (a *app) transactTried(ctx context.Context, env *install.Env, o installOptions, plan func(*install.Generation) (*install.Plan, error)) error {
	root, dry := a.root(), o.dry && !o.canary.wanted()
	if dry {
		cur, err := root.Current()
		if err != nil {
			return err
		}
		p, err := plan(cur)
		if err != nil {
			return err
		}
		unknown, err := root.CheckParams(p)
		if err != nil {
			return err
		}
		for _, name := range unknown {
			a.ui.step("what is set of %s is checked when it has been fetched", name)
		}
		return a.showPlan(p)
	}
	lock, err := root.Lock()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if !o.dry { // what is only tried elsewhere mends nothing here
		if err := lock.Recover(ctx, env); err != nil {
			return err
		}
	}
	cur, err := root.Current()
	if err != nil {
		return err
	}
	p, err := plan(cur)
	if err != nil {
		return err
	}
	if p.Empty() {
		a.ui.step("nothing to do")
	}
	if o.canary.wanted() && !p.Empty() {
		if err := a.tryInMachine(ctx, lock, p, env, &o.canary); err != nil {
			return err
		}
		if o.dry {
			return a.showPlan(p)
		}
	}
	g, err := lock.Apply(ctx, p, env)
	if err != nil {
		return err
	}
	if !p.Empty() && !env.StageOnly {
		a.ui.step("done: generation %d", g.Number)
	}
	if a.ui.json {
		return a.ui.document(struct {
			Generation int             `json:"generation"`
			Changes    []plannedChange `json:"changes"`
		}{g.Number, planned(p)})
	}
	return nil
}

// plannedChange is a change as it is shown.
type plannedChange struct {
	Op     install.Op        `json:"op"`
	Name   string            `json:"name"`
	From   string            `json:"from,omitempty"`
	To     string            `json:"to,omitempty"`
	Digest string            `json:"digest,omitempty"`
	Params map[string]string `json:"params,omitempty"`
	// By is the constraint that it is asked for by.
	By       string   `json:"constraint,omitempty"`
	Features []string `json:"features,omitempty"`
}

func planned(p *install.Plan) []plannedChange {
	out := []plannedChange{}
	for _, c := range p.Changes {
		x := plannedChange{Op: c.Op, Name: c.Name()}
		if c.Old != nil {
			x.From = c.Old.Version
		}
		if c.New != nil {
			x.To, x.Digest, x.Params = c.New.Version, c.New.Digest, c.New.Params
			x.By, x.Features = c.New.Constraint, c.New.Features
		}
		out = append(out, x)
	}
	return out
}

func (a *app) showPlan(p *install.Plan) error {
	changes := planned(p)
	if p.Empty() {
		a.ui.step("nothing to do")
	}
	return a.ui.answer(changes, func(w io.Writer) {
		var rows []string
		for _, c := range changes {
			rows = append(rows, row(c.Op, c.Name, c.From, c.To, short(c.Digest), pairs(c.Params)))
		}
		if len(rows) == 0 {
			return
		}
		table(w, "OP\tNAME\tFROM\tTO\tDIGEST\tSET", rows...)
	})
}
