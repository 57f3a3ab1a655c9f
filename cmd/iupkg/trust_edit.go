// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/signing"
)

// trustOptions is what trust add makes of a publisher's file beside what is in it.
type trustOptions struct {
	names        []string
	keys         []string // files, with "=DATE" when they end
	certificates []string // files
	threshold    int
	until        string // when the keys of the file end
	keepUntil    string // when those end that are trusted now
	identities   []string
	issuer       string
	trustedRoot  string
	builders     []string
	sources      []string
	builderKeys  []string
}

func (a *app) trustAddCommand() *cobra.Command {
	var o trustOptions
	cmd := &cobra.Command{
		Use:   "add FILE",
		Short: "Trust a publisher, from a file made by iupkg key show --public",
		Long: "Trusts a publisher, from a file made by iupkg key show --public. In the place of what was\n" +
			"trusted of the same publisher before; with --keep-until its keys count beside the new ones\n" +
			"until that day, which is how keys are changed without a gap.\n\n" +
			"Others may have to sign too: --key adds their keys, --identity those who sign without keys,\n" +
			"with a certificate that an authority in --trusted-root gave for an account at --issuer;\n" +
			"--threshold says how many of them all must have signed.",
		Example: "  iupkg trust add acme.trust --names 'acme-*'\n" +
			"  iupkg trust add acme.trust --key review.pub --threshold 2\n" +
			"  iupkg trust add acme-new.trust --keep-until 2027-01-31\n" +
			"  iupkg trust add acme.trust --identity 'https://forge.example.org/acme/*' \\\n" +
			"      --issuer https://token.example.org --trusted-root trusted_root.json",
		Args: oneArg("FILE"),
		RunE: func(_ *cobra.Command, args []string) error { return a.trustAdd(args[0], &o) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.names, "names", nil, "trust it for packages of these name `patterns` only")
	f.StringArrayVar(&o.keys, "key", nil, "public key in a `file`, PEM, that counts too; FILE=DATE until that day")
	f.StringArrayVar(&o.certificates, "kernel-certificate", nil, "certificate in a `file`, PEM, that the kernel may be given too")
	f.IntVar(&o.threshold, "threshold", 0, "how many different keys and identities must have signed")
	f.StringVar(&o.until, "until", "", "`day` after which the keys of FILE do not count any more")
	f.StringVar(&o.keepUntil, "keep-until", "", "`day` until which the keys count that are trusted of the publisher now")
	f.StringArrayVar(&o.identities, "identity", nil, "`subject` of certificates that count as a key; '*' stands for any text")
	f.StringVar(&o.issuer, "issuer", "", "`URL` of who vouches for these identities")
	f.StringVar(&o.trustedRoot, "trusted-root", "", "sigstore's trusted_root.json: a `file` with the authorities, logs and time stampers that count")
	f.StringSliceVar(&o.builders, "require-builder", nil, "trust only what has provenance by a builder with such an id; '*' stands for any text")
	f.StringSliceVar(&o.sources, "require-source", nil, "trust only what provenance says was built from such a source")
	f.StringArrayVar(&o.builderKeys, "builder-key", nil, "public key in a `file`, PEM, that signs this provenance in the place of the publisher's")
	return cmd
}

// apply changes what was read from a publisher's file.
func (o *trustOptions) apply(a *app, id *signing.Identity) error {
	if len(o.names) > 0 {
		id.Names = o.names
	}
	until, err := day(o.until, "--until")
	if err != nil {
		return err
	}
	for i, k := range id.Keys {
		if until != nil && (k.NotAfter == nil || k.NotAfter.After(*until)) {
			id.Keys[i].NotAfter = until
		}
	}
	more, err := readKeys(o.keys)
	if err != nil {
		return err
	}
	id.Keys = append(id.Keys, more...)
	for _, file := range o.certificates {
		text, err := readInput(file, maxInput)
		if err != nil {
			return usageError{err}
		}
		id.KernelCertificates = append(id.KernelCertificates, string(text))
	}
	if err := o.keyless(id); err != nil {
		return err
	}
	if o.threshold > 0 {
		id.Threshold = o.threshold
	}
	if err := o.provenance(id); err != nil {
		return err
	}
	if err := o.overlap(a, id); err != nil {
		return err
	}
	if err := id.Validate(); err != nil {
		return usageError{err}
	}
	return nil
}

func (o *trustOptions) keyless(id *signing.Identity) error {
	if len(o.identities) == 0 {
		if o.issuer != "" || o.trustedRoot != "" {
			return usagef("--issuer and --trusted-root say nothing without --identity")
		}
		return nil
	}
	if o.issuer == "" || o.trustedRoot == "" {
		return usagef("--identity needs --issuer, who vouches for it, and --trusted-root, whose certificates count")
	}
	text, err := readInput(o.trustedRoot, maxInput)
	if err != nil {
		return usageError{err}
	}
	if !json.Valid(text) {
		return usagef("%s: not JSON", o.trustedRoot)
	}
	id.Keyless = &signing.Keyless{TrustedRoot: text}
	for _, subject := range o.identities {
		id.Keyless.Identities = append(id.Keyless.Identities, signing.CertificateIdentity{Issuer: o.issuer, Subject: subject})
	}
	return nil
}

func (o *trustOptions) provenance(id *signing.Identity) error {
	if len(o.builders) == 0 {
		if len(o.sources) > 0 || len(o.builderKeys) > 0 {
			return usagef("--require-source and --builder-key say nothing without --require-builder: only a builder vouches for sources")
		}
		return nil
	}
	keys, err := readKeys(o.builderKeys)
	if err != nil {
		return err
	}
	if len(keys) == 0 && id.Provenance != nil {
		keys = id.Provenance.Keys
	}
	id.Provenance = &signing.RequireProvenance{Builders: o.builders, Sources: o.sources, Keys: keys}
	return nil
}

// overlap keeps the keys that are trusted now for a while.
func (o *trustOptions) overlap(a *app, id *signing.Identity) error {
	until, err := day(o.keepUntil, "--keep-until")
	if err != nil || until == nil {
		return err
	}
	policy, err := a.policy()
	if err != nil {
		return err
	}
	list := policy.List()
	i := slices.IndexFunc(list, func(x signing.Identity) bool { return x.Publisher == id.Publisher })
	if i < 0 {
		return usagef("--keep-until: %s is not trusted yet, so there is no key to keep", id.Publisher)
	}
	id.Overlap(&list[i], *until)
	return nil
}

// readKeys reads FILE or FILE=DATE.
func readKeys(args []string) ([]signing.Key, error) {
	var keys []signing.Key
	for _, arg := range args {
		file, date, _ := strings.Cut(arg, "=")
		text, err := readInput(file, maxInput)
		if err != nil {
			return nil, usageError{err}
		}
		k := signing.Key{PEM: string(text)}
		if k.NotAfter, err = day(date, file); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// day is the end of a day, nil of none.
func day(text, what string) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return nil, usagef("%s: %q is no day: write it as 2027-01-31", what, text)
	}
	t = t.Add(24*time.Hour - time.Second).UTC()
	return &t, nil
}

func (a *app) trustRevokeCommand() *cobra.Command {
	var r signing.Revoked
	cmd := &cobra.Command{
		Use:   "revoke",
		Short: "Trust a key, an artifact, an object or a version no more, whoever signed it",
		Long: "Trusts a key, an artifact, an object or a version no more on this machine, whoever signed\n" +
			"it. What is installed runs on until it is removed; iupkg verify names it.",
		Example: "  iupkg trust revoke --version bmc@1.2.1",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return a.trustRevoke(&r) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&r.Keys, "key", nil, "`identifiers` of keys, as iupkg trust list --json shows them")
	f.StringSliceVar(&r.Digests, "digest", nil, "`digests` of artifacts or objects")
	f.StringSliceVar(&r.Versions, "version", nil, "`versions`, as NAME@VERSION")
	return cmd
}

func (a *app) trustRevoke(r *signing.Revoked) error {
	n := len(r.Keys) + len(r.Digests) + len(r.Versions)
	if n == 0 {
		return usagef("what to revoke is missing: give --key, --digest or --version")
	}
	policy, cur, unlock, err := a.editPolicy()
	if err != nil {
		return err
	}
	defer unlock()
	if err := policy.Revoke(r); err != nil {
		return usageError{err}
	}
	a.ui.step("revoked %s", count(n, "entry"))
	theirs := []string{}
	for _, p := range cur.Packages {
		keys := slices.Contains(r.Keys, p.Signer.KeyID)
		if keys || slices.Contains(r.Digests, p.Digest) || slices.Contains(r.Digests, p.Object) || slices.Contains(r.Versions, p.Name+"@"+p.Version) {
			theirs = append(theirs, p.Name)
		}
	}
	if len(theirs) > 0 {
		a.ui.warn("%s installed and revoked: %s runs on; remove with iupkg remove %s", isOrAre(theirs), itOrThey(theirs), strings.Join(theirs, " "))
	}
	if a.ui.json {
		all := policy.Revoked()
		return a.ui.document(struct {
			signing.Revoked
			Installed []string `json:"installed"`
		}{all, theirs})
	}
	return nil
}

// terms is what an identity asks for beyond a signature by its one key.
func (i *identityInfo) terms() string {
	var list []string
	if i.Threshold > 1 {
		list = append(list, fmt.Sprintf("%d signers", i.Threshold))
	}
	list = append(append(list, i.Identities...), i.Expire...)
	if i.Provenance != "" {
		list = append(list, i.Provenance)
	}
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, "; ")
}
