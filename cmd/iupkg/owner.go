// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/index"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/registry"
	"github.com/iupkg/iupkg/signing"
)

// editCommands is what there is to say in an index beside new versions.
func (a *app) editCommands() []*cobra.Command {
	var key, why string
	var advisory index.Advisory
	edit := func(cmd *cobra.Command, args cobra.PositionalArgs, f func(ctx context.Context, p *index.Publisher, args []string) (string, error)) *cobra.Command {
		cmd.Args = args
		cmd.Flags().StringVar(&key, "key", "", "`publisher` whose keys sign, if there are several")
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			p, err := a.indexPublisher(cmd.Context(), key)
			if err != nil {
				return err
			}
			done, err := f(cmd.Context(), p, args)
			if err != nil {
				return err
			}
			a.ui.step("%s", done)
			if a.ui.json {
				return a.ui.document(map[string]string{"done": done})
			}
			return nil
		}
		return cmd
	}
	yank := edit(&cobra.Command{
		Use:   "yank NAME@VERSION",
		Short: "Say of a version that it should no longer be chosen",
		Long: "Says of a version that it should no longer be chosen. It stays where it is, for those\n" +
			"whose lock file has it. With an empty reason it may be chosen again.",
	}, oneArg("NAME@VERSION"), func(ctx context.Context, p *index.Publisher, args []string) (string, error) {
		name, version, ok := strings.Cut(args[0], "@")
		if _, err := manifest.ParseVersion(version); !ok || err != nil {
			return "", usagef("want NAME@VERSION, a whole version, not %s", args[0])
		}
		if why == "" {
			return args[0] + " may be chosen again", p.Yank(ctx, name, version, "")
		}
		return "yanked " + args[0], p.Yank(ctx, name, version, why)
	})
	yank.Flags().StringVar(&why, "reason", "", "`why`; empty takes it back")
	deprecate := edit(&cobra.Command{
		Use:   "deprecate NAME",
		Short: "Say of a package why it should no longer be used",
	}, oneArg("NAME"), func(ctx context.Context, p *index.Publisher, args []string) (string, error) {
		if why == "" {
			return args[0] + " is no longer deprecated", p.Deprecate(ctx, args[0], "")
		}
		return "deprecated " + args[0], p.Deprecate(ctx, args[0], why)
	})
	deprecate.Flags().StringVar(&why, "reason", "", "`why`, and what to use; empty takes it back")
	advise := edit(&cobra.Command{
		Use:     "advise NAME --id ID",
		Short:   "Tell of a fault in versions of a package",
		Long:    "Tells of a fault in versions of a package. Without --affects what was told is taken back.",
		Example: "  iupkg index advise bmc --id CVE-2026-12345 --affects '<1.2.3' --severity high --summary 'reads beyond a packet'",
	}, oneArg("NAME"), func(ctx context.Context, p *index.Publisher, args []string) (string, error) {
		if advisory.ID == "" {
			return "", usagef("the advisory's identifier is missing: give --id")
		}
		return "advised of " + advisory.ID + " in " + args[0], p.Advise(ctx, args[0], advisory)
	})
	f := advise.Flags()
	f.StringVar(&advisory.ID, "id", "", "`identifier` of the advisory")
	f.StringVar(&advisory.Affects, "affects", "", "`constraint` over the versions that it affects")
	f.StringVar(&advisory.Severity, "severity", "moderate", "`how` bad it is: "+strings.Join(index.Severities, ", "))
	f.StringVar(&advisory.Summary, "summary", "", "`what` it is")
	f.StringVar(&advisory.URL, "url", "", "`where` to read more")
	var names []string
	delegate := edit(&cobra.Command{
		Use:   "delegate FILE --names PATTERN…",
		Short: "Let another publisher list packages of some names in this index",
		Long: "Lets another publisher list packages whose names match, and no others, in this index, with\n" +
			"his own key. FILE is what iupkg key show --public prints for him. It replaces what he was\n" +
			"given before.",
		Example: "  iupkg index delegate bob.trust --names 'bob-*'",
	}, oneArg("FILE"), func(ctx context.Context, p *index.Publisher, args []string) (string, error) {
		id, err := readIdentity(args[0])
		if err != nil {
			return "", err
		}
		if len(names) == 0 {
			return "", usagef("the names are missing: give --names")
		}
		if len(id.IndexRoot) == 0 {
			return "", usagef("%s has no index root, so it names no key for an index", args[0])
		}
		return "gave " + id.Publisher + " the names " + strings.Join(names, ", "), p.Delegate(ctx, id.Publisher, id.IndexRoot, names)
	})
	delegate.Flags().StringSliceVar(&names, "names", nil, "name `patterns`, '*' stands for any text")
	undelegate := edit(&cobra.Command{
		Use:   "undelegate PUBLISHER",
		Short: "Take back what was given to another publisher, and his key out of the index",
	}, oneArg("PUBLISHER"), func(ctx context.Context, p *index.Publisher, args []string) (string, error) {
		return "took the names of " + args[0] + " back", p.Undelegate(ctx, args[0])
	})
	return []*cobra.Command{yank, deprecate, advise, delegate, undelegate}
}

func readIdentity(file string) (*signing.Identity, error) {
	data, err := readInput(file, signing.MaxIdentity)
	if err != nil {
		return nil, usageError{err}
	}
	id, err := signing.ParseIdentity(data, file)
	if err != nil {
		return nil, usageError{err}
	}
	return id, nil
}

// indexPublisher is for changes of the index in use.
func (a *app) indexPublisher(ctx context.Context, key string) (*index.Publisher, error) {
	keys, _, err := loadKeys(key)
	if err != nil {
		return nil, err
	}
	client, err := a.client()
	if err != nil {
		return nil, err
	}
	return a.publisherOf(ctx, client, keys)
}

// publisherOf finds out whose index it is in which keys may publish: one's own, or
// that of a publisher whom this machine trusts.
func (a *app) publisherOf(ctx context.Context, client *registry.Client, keys *signing.Keys) (*index.Publisher, error) {
	own := &index.Publisher{Remote: client.Index(), Keys: keys}
	first := own.Check(ctx)
	var untrusted *index.Untrusted
	if first == nil || !errors.As(first, &untrusted) || untrusted.Reason != index.BadSignature {
		return own, first
	}
	policy, err := a.policy()
	if err != nil {
		return nil, err
	}
	roots := policy.IndexRoots()
	for _, owner := range slices.Sorted(maps.Keys(roots)) {
		p := &index.Publisher{Remote: client.Index(), Keys: keys, Root: roots[owner]}
		if err := p.Check(ctx); err == nil {
			a.ui.more("publishing in the index of %s", owner)
			return p, nil
		}
	}
	return nil, withHint(first, "the index of that registry belongs to another publisher: publish under a prefix of your own, or trust its owner, who gives you names with iupkg index delegate")
}
