// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/index"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/registry"
)

func (a *app) indexDir() string { return a.root().Sub("index") }

var errNoIndexRoot = errors.New("no trusted publisher has an index, so there is none to go by")

// sync brings the local copy of the index up to date. Of several trusted
// publishers the first whose root the registry's index holds to counts.
func (a *app) sync(ctx context.Context) (*index.SyncResult, error) {
	sources, err := a.sources()
	if err != nil {
		return nil, err
	}
	policy, err := a.policy()
	if err != nil {
		return nil, err
	}
	roots := policy.IndexRoots()
	if len(roots) == 0 {
		return nil, errNoIndexRoot
	}
	a.ui.working("synchronising the index with %s", sources[0])
	defer a.ui.clearProgress()
	var res *index.SyncResult
	err = a.eachSource(ctx, sources, func(c *registry.Client) (err error) {
		res, err = a.syncFrom(ctx, c.Index(), roots)
		return err
	})
	return res, err
}

func (a *app) syncFrom(ctx context.Context, remote index.Remote, roots map[string][]byte) (*index.SyncResult, error) {
	var first error
	for _, publisher := range slices.Sorted(maps.Keys(roots)) {
		res, err := index.Sync(ctx, remote, a.indexDir(), roots[publisher])
		var untrusted *index.Untrusted
		switch {
		case err == nil:
			return res, nil
		case errors.As(err, &untrusted) && untrusted.Reason == index.Damaged:
			a.ui.warn("%v; it is made anew", err)
			if err := index.Discard(a.indexDir()); err != nil {
				return nil, err
			}
			return a.syncFrom(ctx, remote, roots) // whose index it is shows anew
		case !errors.As(err, &untrusted) || untrusted.Reason != index.BadSignature:
			return nil, err
		}
		first = cmp.Or(first, err)
	}
	return nil, first
}

// indexCopy is the local copy as the resolver wants it.
type indexCopy struct{ *index.Index }

// Versions is resolve.Source.
func (x indexCopy) Versions(_ context.Context, name string) ([]manifest.Candidate, error) {
	list, err := x.Index.Versions(name)
	if isA[*index.UnknownPackage](err) {
		return nil, fmt.Errorf("%w (%w)", manifest.ErrUnknownPackage, err)
	}
	return list, err
}

// Providers is resolve.Source.
func (x indexCopy) Providers(_ context.Context, name string) ([]string, error) {
	return x.Index.Providers(name)
}

var errIndexDistrusted = errors.New("the local copy of the index is of a publisher whom this machine trusts no more")

// openIndex opens the local copy as it is, if it is still of one who is trusted.
func (a *app) openIndex() (indexCopy, error) {
	x, err := index.Open(a.indexDir())
	if err != nil {
		return indexCopy{}, err
	}
	policy, err := a.policy()
	if err != nil {
		return indexCopy{}, err
	}
	trusted := false
	for _, root := range policy.IndexRoots() {
		trusted = trusted || x.Follows(root)
	}
	if !trusted {
		return indexCopy{}, errIndexDistrusted
	}
	if end := x.Expires(); time.Now().After(end) {
		a.ui.warn("the index expired on %s: nobody vouches for nothing newer being hidden", end.Format(time.DateOnly))
	}
	return indexCopy{x}, nil
}

// syncedIndex is the index as of now; offline, or with no registry known, as of
// the last time.
func (a *app) syncedIndex(ctx context.Context) (indexCopy, error) {
	if !a.offline && a.registry != "" {
		res, err := a.sync(ctx)
		switch {
		case errors.Is(err, fs.ErrPermission): // as when somebody else than root asks
			a.ui.warn("the index is as of the last synchronisation: %v", err)
		case err != nil:
			return indexCopy{}, err
		case res.Changed > 0:
			a.ui.more("synchronised the index: %s, %s changed", count(res.Packages, "package"), count(res.Changed, "file"))
		}
	}
	return a.openIndex()
}

// indexAtHand is the local copy; if there is none yet it is made.
func (a *app) indexAtHand(ctx context.Context) (indexCopy, error) {
	x, err := a.openIndex()
	if errors.Is(err, index.ErrNotSynced) && !a.offline && a.registry != "" {
		return a.syncedIndex(ctx)
	}
	return x, err
}

func (a *app) syncCommand() *cobra.Command {
	var anew bool
	cmd := &cobra.Command{
		Use:     "sync",
		Short:   "Bring the local copy of the index up to date",
		GroupID: groupPackages,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.offline {
				return usagef("sync and --offline exclude each other")
			}
			if anew {
				if err := index.Discard(a.indexDir()); err != nil {
					return err
				}
			}
			res, err := a.sync(cmd.Context())
			if err != nil {
				return err
			}
			a.ui.step("synchronised the index: %s, %s changed", count(res.Packages, "package"), count(res.Changed, "file"))
			if a.ui.json {
				return a.ui.document(map[string]any{"version": res.Version, "packages": res.Packages, "changed": res.Changed, "expires": res.Expires})
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&anew, "anew", false, "make the copy anew, as when it is damaged; which versions were seen before is forgotten")
	return cmd
}

// searchLimit is how many packages a search shows: nobody reads more.
const searchLimit = 100

func (a *app) searchCommand() *cobra.Command {
	limit := searchLimit
	cmd := &cobra.Command{
		Use:   "search [WORD…]",
		Short: "Find packages in the index by name, description and hook",
		Long: "Finds the packages in whose name, description or hooks every word occurs. It shows the first\n" +
			"100 and says how many more there are; with --json it shows all, if --limit is not given.",
		GroupID: groupPackages,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, words []string) error {
			x, err := a.indexAtHand(cmd.Context())
			if err != nil {
				return err
			}
			if limit == 0 || a.ui.json && !cmd.Flags().Changed("limit") {
				limit = -1
			}
			hits, total, err := x.Top(limit, words...)
			if err != nil {
				return err
			}
			err = a.ui.answer(append([]index.Hit{}, hits...), func(w io.Writer) {
				var rows []string
				for _, h := range hits {
					rows = append(rows, row(h.Name, h.Version, join(h.Hooks), h.Description))
				}
				if len(rows) == 0 {
					a.ui.step("nothing matches")
					return
				}
				table(w, "NAME\tVERSION\tHOOKS\tDESCRIPTION", rows...)
			})
			if n := total - len(hits); n > 0 && err == nil {
				a.ui.step("and %d more: give more words, or --limit 0", n)
			}
			return err
		},
	}
	cmd.Flags().IntVar(&limit, "limit", searchLimit, "show at most so `many`; 0 shows all")
	return cmd
}

func join[T ~string](list []T) string {
	s := ""
	for i, x := range list {
		if i > 0 {
			s += " "
		}
		s += string(x)
	}
	return s
}
