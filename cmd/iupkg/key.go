// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/iupkg/iupkg/index"
	"github.com/iupkg/iupkg/signing"
)

// keysDir has one folder per publisher: $IUPKG_KEYS, or iupkg/keys in the user's
// folder of configuration.
func keysDir() (string, error) {
	if d := os.Getenv("IUPKG_KEYS"); d != "" {
		return d, nil
	}
	c, err := os.UserConfigDir()
	if err != nil {
		return "", withHint(err, "set IUPKG_KEYS to the folder of your keys")
	}
	return filepath.Join(c, "iupkg", "keys"), nil
}

// keyPassword is $IUPKG_KEY_PASSWORD; keys are not encrypted without it.
func keyPassword() signing.Password {
	p, ok := os.LookupEnv("IUPKG_KEY_PASSWORD")
	if !ok {
		return nil
	}
	return func(bool) ([]byte, error) { return []byte(p), nil }
}

// loadKeys reads the keys of a publisher; with no name, of the only one.
func loadKeys(name string) (keys *signing.Keys, dir string, err error) {
	top, err := keysDir()
	if err != nil {
		return nil, "", err
	}
	if name == "" {
		names, err := keyNames(top)
		if err != nil {
			return nil, "", err
		}
		switch len(names) {
		case 0:
			return nil, "", withHint(fmt.Errorf("there is no key in %s", top), "make one with iupkg key new PUBLISHER")
		case 1:
			name = names[0]
		default:
			return nil, "", withHint(usagef("there are several keys"), "say which with --key: %s", strings.Join(names, ", "))
		}
	}
	if name != filepath.Base(name) {
		return nil, "", usagef("%q is not the name of a publisher", name)
	}
	dir = filepath.Join(top, name)
	keys, err = signing.LoadKeys(dir, keyPassword())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", withHint(fmt.Errorf("there is no key %s: %w", name, err), "make one with iupkg key new %s", name)
	}
	if err != nil {
		return nil, "", fmt.Errorf("key %s: %w", name, err)
	}
	return keys, dir, nil
}

func keyNames(top string) ([]string, error) {
	entries, err := os.ReadDir(top)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// keyInfo is what there is to say of a publisher's keys.
type keyInfo struct {
	Publisher   string    `json:"publisher"`
	KeyID       string    `json:"keyID"`
	Certificate string    `json:"kernelCertificate"` // serial number
	NotAfter    time.Time `json:"kernelCertificateNotAfter"`
	Dir         string    `json:"dir"`
}

func newKeyInfo(k *signing.Keys, dir string) (keyInfo, error) {
	id, err := signing.KeyID(k.Publisher.Public())
	c := k.KernelCertificate
	return keyInfo{k.Name, id, fmt.Sprintf("%x", c.SerialNumber), c.NotAfter, dir}, err
}

func (i *keyInfo) write(w io.Writer) {
	table(w, "",
		row("publisher", i.Publisher),
		row("key", i.KeyID),
		row("kernel certificate", fmt.Sprintf("serial %s, valid until %s", i.Certificate, i.NotAfter.Format(time.DateOnly))),
		row("folder", i.Dir))
}

func (a *app) keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "key",
		Short:   "Keys of a publisher",
		GroupID: groupPublisher,
	}
	var publisher, kernel string
	make := &cobra.Command{
		Use:   "new PUBLISHER",
		Short: "Make the keys of a publisher: for packages, for the kernel, for the index",
		Long: "Makes the keys of a publisher: for packages, for the kernel, for the index.\n" +
			"The private halves are encrypted if IUPKG_KEY_PASSWORD is set.\n\n" +
			"A key may stay in a token or a service (PKCS#11, KMS): give a file, JSON with \"command\", a list,\n" +
			"the program that is run for each signature, and \"publicKey\", PEM. It reads the SHA-256 of what\n" +
			"is signed, 32 bytes, and writes the signature: ECDSA P-256 as ASN.1, for the kernel RSA PKCS#1 v1.5.",
		Args: oneArg("PUBLISHER"),
		RunE: func(_ *cobra.Command, args []string) error { return a.keyNew(args[0], publisher, kernel) },
	}
	make.Flags().StringVar(&publisher, "publisher-signer", "", "`file` that says which program has the key for packages")
	make.Flags().StringVar(&kernel, "kernel-signer", "", "`file` that says which program has the key for the kernel")
	cmd.AddCommand(
		make,
		&cobra.Command{
			Use:   "list",
			Short: "List the keys at hand",
			RunE:  func(*cobra.Command, []string) error { return a.keyList() },
		},
		a.keyShowCommand(),
	)
	return cmd
}

// readExternal reads the file of a key that a program has; no file is no such key.
func readExternal(file string) (*signing.External, error) {
	if file == "" {
		return nil, nil
	}
	data, err := readInput(file, signing.MaxIdentity)
	if err != nil {
		return nil, usageError{err}
	}
	e, err := signing.ParseExternal(data, file)
	if err != nil {
		return nil, usageError{err}
	}
	return e, nil
}

func (a *app) keyNew(name, publisherFile, kernelFile string) error {
	publisher, err := readExternal(publisherFile)
	if err != nil {
		return err
	}
	kernel, err := readExternal(kernelFile)
	if err != nil {
		return err
	}
	top, err := keysDir()
	if err != nil {
		return err
	}
	keys, err := signing.NewKeysWith(name, publisher, kernel)
	if err != nil {
		return usageError{err}
	}
	// From the beginning, so that the public half never has to be given out twice.
	if keys.IndexRoot, err = index.NewRoot(keys); err != nil {
		return err
	}
	dir := filepath.Join(top, name)
	if err := signing.SaveKeys(dir, keys, keyPassword()); err != nil {
		return err
	}
	info, err := newKeyInfo(keys, dir)
	if err != nil {
		return err
	}
	a.ui.step("made the keys of %s in %s", name, dir)
	return a.ui.answer(info, func(w io.Writer) { fmt.Fprintln(w, info.KeyID) })
}

func (a *app) keyList() error {
	top, err := keysDir()
	if err != nil {
		return err
	}
	names, err := keyNames(top)
	if err != nil {
		return err
	}
	infos := []keyInfo{}
	var rows []string
	for _, n := range names {
		keys, dir, err := loadKeys(n)
		if err != nil {
			return err
		}
		info, err := newKeyInfo(keys, dir)
		if err != nil {
			return err
		}
		infos = append(infos, info)
		rows = append(rows, row(info.Publisher, info.KeyID, info.NotAfter.Format(time.DateOnly)))
	}
	return a.ui.answer(infos, func(w io.Writer) {
		if len(rows) == 0 {
			a.ui.step("there is no key in %s", top)
			return
		}
		table(w, "PUBLISHER\tKEY\tKERNEL CERTIFICATE UNTIL", rows...)
	})
}

func (a *app) keyShowCommand() *cobra.Command {
	var public bool
	var names []string
	cmd := &cobra.Command{
		Use:   "show [PUBLISHER]",
		Short: "Show a key; with --public, the file that others give to iupkg trust add",
		Args:  atMostOneArg,
		RunE: func(_ *cobra.Command, args []string) error {
			name := ""
			if len(args) == 1 {
				name = args[0]
			}
			keys, dir, err := loadKeys(name)
			if err != nil {
				return err
			}
			if public {
				id, err := keys.Identity(names...)
				if err != nil {
					return usageError{err}
				}
				if a.ui.json {
					return a.ui.document(id)
				}
				text, err := id.Encode()
				if err != nil {
					return err
				}
				_, err = a.ui.out.Write(text)
				return err
			}
			info, err := newKeyInfo(keys, dir)
			if err != nil {
				return err
			}
			return a.ui.answer(info, info.write)
		},
	}
	cmd.Flags().BoolVar(&public, "public", false, "print the public half")
	cmd.Flags().StringSliceVar(&names, "names", []string{"*"}, "with --public: `patterns` of the package names it speaks for")
	return cmd
}

// oneArg wants exactly one argument, and names it when it is missing.
func oneArg(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return fmt.Errorf("%s is missing", what)
		case 1:
			return nil
		}
		return fmt.Errorf("unexpected argument: %s", args[1])
	}
}

// someArgs wants at least one.
func someArgs(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s is missing", what)
		}
		return nil
	}
}

// atMostOneArg takes an optional one.
func atMostOneArg(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("unexpected argument: %s", args[1])
	}
	return nil
}
