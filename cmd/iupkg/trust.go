// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/kernel"
	"github.com/iupkg/iupkg/signing"
)

// policy is whom this machine trusts.
func (a *app) policy() (*signing.Policy, error) {
	return signing.OpenPolicy(a.root().Sub("trust"))
}

func (a *app) trustCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "trust",
		Short:   "Whom this machine trusts, for packages and for the kernel",
		GroupID: groupMachine,
	}
	add := a.trustAddCommand()
	cmd.AddCommand(
		add,
		a.trustRevokeCommand(),
		&cobra.Command{
			Use:   "list",
			Short: "List the trusted publishers",
			RunE:  func(*cobra.Command, []string) error { return a.trustList() },
		},
		&cobra.Command{
			Use:   "remove PUBLISHER",
			Short: "Trust a publisher no more",
			Args:  oneArg("PUBLISHER"),
			RunE:  func(_ *cobra.Command, args []string) error { return a.trustRemove(args[0]) },
		},
		&cobra.Command{
			Use:   "seal",
			Short: "Close the kernel's keyring until the next boot",
			RunE:  func(*cobra.Command, []string) error { return a.trustSeal() },
		},
	)
	return cmd
}

// identityInfo is what there is to say of a trusted publisher.
type identityInfo struct {
	Publisher    string   `json:"publisher"`
	Names        []string `json:"names"`
	Keys         []string `json:"keys"`
	Certificates int      `json:"kernelCertificates"`
	Index        bool     `json:"index"`
	Threshold    int      `json:"threshold"`            // how many of them must sign
	Identities   []string `json:"identities,omitempty"` // who may sign with certificates
	Expire       []string `json:"expire,omitempty"`     // KEY until DAY
	Provenance   string   `json:"provenance,omitempty"` // which is required
}

func newIdentityInfo(id *signing.Identity) (identityInfo, error) {
	info := identityInfo{Publisher: id.Publisher, Names: id.Names, Certificates: len(id.KernelCertificates), Index: len(id.IndexRoot) > 0, Threshold: max(id.Threshold, 1)}
	keys, err := id.PublicKeys()
	for _, k := range keys {
		info.Keys = append(info.Keys, k.ID)
		if !k.NotAfter.IsZero() {
			info.Expire = append(info.Expire, short(k.ID)+" until "+k.NotAfter.UTC().Format(time.DateOnly))
		}
	}
	if id.Keyless != nil {
		for _, c := range id.Keyless.Identities {
			info.Identities = append(info.Identities, c.String())
		}
	}
	if id.Provenance != nil {
		info.Provenance = id.Provenance.String()
	}
	return info, err
}

func (a *app) trustAdd(file string, o *trustOptions) error {
	id, err := readIdentity(file)
	if err != nil {
		return err
	}
	if err := o.apply(a, id); err != nil {
		return err
	}
	info, err := newIdentityInfo(id)
	if err != nil {
		return err
	}
	if err := a.ui.confirm("trust %s (%s) for packages named %s?", id.Publisher, strings.Join(info.Keys, ", "), strings.Join(id.Names, ", ")); err != nil {
		return err
	}
	lock, err := a.root().Lock()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	policy, err := a.policy()
	if err != nil {
		return err
	}
	before := policy.List()
	if err := policy.Add(id); err != nil {
		return err
	}
	inKernel, err := addCertificates(id)
	if err != nil {
		// The kernel said no: the policy must not say yes.
		undo := func() error { return policy.Remove(id.Publisher) }
		if i := slices.IndexFunc(before, func(o signing.Identity) bool { return o.Publisher == id.Publisher }); i >= 0 {
			undo = func() error { return policy.Add(&before[i]) }
		}
		return errors.Join(err, undo())
	}
	a.ui.step("trusted %s for packages named %s", id.Publisher, strings.Join(id.Names, ", "))
	switch {
	case inKernel > 0:
		a.ui.step("added %s to the kernel's keyring", count(inKernel, "certificate"))
	case len(id.KernelCertificates) > 0:
		a.ui.step("iu.ko is not loaded: iupkg setup will add %s to its keyring", count(len(id.KernelCertificates), "certificate"))
	}
	if a.ui.json {
		return a.ui.document(info)
	}
	return nil
}

// addCertificates gives the kernel the certificates of an identity, if the
// runtime is there to take them, and says how many it took.
func addCertificates(id *signing.Identity) (int, error) {
	certs, err := id.Certificates()
	if err != nil || len(certs) == 0 {
		return 0, err
	}
	dev, err := kernel.OpenDevice()
	if errors.Is(err, kernel.ErrNoRuntime) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer dev.Close()
	for i, c := range certs {
		if err := dev.AddKey(c.Raw); err != nil {
			err = fmt.Errorf("certificate of %s: %w", id.Publisher, err)
			if errors.Is(err, unix.EPERM) {
				err = withHint(err, "the keyring was sealed by iupkg trust seal: trust the publisher after the next boot, before it is sealed again")
			}
			return i, err
		}
	}
	return len(certs), nil
}

func (a *app) trustList() error {
	policy, err := a.policy()
	if err != nil {
		return err
	}
	infos := []identityInfo{}
	var rows []string
	for _, id := range policy.List() {
		info, err := newIdentityInfo(&id)
		if err != nil {
			return err
		}
		infos = append(infos, info)
		var keys []string
		for _, k := range info.Keys {
			keys = append(keys, short(k))
		}
		rows = append(rows, row(info.Publisher, strings.Join(info.Names, " "), strings.Join(keys, " "), info.Certificates, yesNo(info.Index), info.terms()))
	}
	return a.ui.answer(infos, func(w io.Writer) {
		if len(rows) == 0 {
			a.ui.step("no one is trusted on this machine")
			return
		}
		table(w, "PUBLISHER\tNAMES\tKEYS\tKERNEL CERTIFICATES\tINDEX\tTERMS", rows...)
	})
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// editPolicy is the policy to be changed and what is installed under it, with the store
// held until unlock.
func (a *app) editPolicy() (policy *signing.Policy, cur *install.Generation, unlock func(), err error) {
	lock, err := a.root().Lock()
	if err != nil {
		return nil, nil, nil, err
	}
	if policy, err = a.policy(); err == nil {
		cur, err = a.root().Current()
	}
	if err != nil {
		lock.Unlock()
		return nil, nil, nil, err
	}
	return policy, cur, func() { lock.Unlock() }, nil
}

func (a *app) trustRemove(publisher string) error {
	policy, cur, unlock, err := a.editPolicy()
	if err != nil {
		return err
	}
	defer unlock()
	theirs := []string{}
	for _, p := range cur.Packages {
		if p.Signer.Publisher == publisher {
			theirs = append(theirs, p.Name)
		}
	}
	if slices.ContainsFunc(policy.List(), func(id signing.Identity) bool { return id.Publisher == publisher }) {
		if err := a.ui.confirm("trust %s no more?", publisher); err != nil {
			return err
		}
	}
	if err := policy.Remove(publisher); errors.Is(err, signing.ErrNoIdentity) {
		return withHint(err, "iupkg trust list says whom this machine trusts")
	} else if err != nil {
		return err
	}
	a.ui.step("trusts %s no more", publisher)
	if len(theirs) > 0 {
		a.ui.warn("%s signed by %s and installed: %s runs on, but can be neither verified nor gone back to; remove with iupkg remove %s",
			isOrAre(theirs), publisher, itOrThey(theirs), strings.Join(theirs, " "))
	}
	if a.ui.json {
		if err := a.ui.document(map[string]any{"publisher": publisher, "installed": theirs}); err != nil {
			return err
		}
	}
	if kernel.RuntimePresent() {
		a.ui.warn("the kernel keeps its certificates until iu.ko is loaded anew or the machine boots")
	}
	return nil
}

// isOrAre is "bmc is" or "bmc and dns are".
func isOrAre(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1] + " are"
	}
	return names[0] + " is"
}

func itOrThey(names []string) string {
	if len(names) > 1 {
		return "each"
	}
	return "it"
}

func (a *app) trustSeal() error {
	dev, err := kernel.OpenDevice()
	if err != nil {
		return err
	}
	defer dev.Close()
	if err := a.ui.confirm("take no more certificates into the kernel until the next boot?"); err != nil {
		return err
	}
	if err := dev.Seal(); err != nil {
		return err
	}
	a.ui.step("sealed the kernel's keyring until the next boot")
	return nil
}
