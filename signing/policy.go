// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"
)

const (
	identitySuffix = ".trust"
	revokedFile    = "revoked.json"
)

// ErrNoIdentity is returned when there is no identity of a publisher.
var ErrNoIdentity = errors.New("no such identity")

// Policy says whom this machine trusts. It is not safe for concurrent use by
// several goroutines while it is changed.
type Policy struct {
	dir        string
	identities []trusted
	revoked    *Revoked
	now        func() time.Time
}

type trusted struct {
	Identity
	keys     []PublicKey
	certs    []*x509.Certificate
	signers  authority
	builders authority // who may sign provenance
	now      func() time.Time
}

// OpenPolicy reads the policy in dir. A folder that does not exist trusts no one.
// A file that does not parse is an error: skipping it might skip a revocation.
func OpenPolicy(dir string) (*Policy, error) {
	p := &Policy{dir: dir, now: time.Now}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read trust policy: %w", err)
	}
	for _, e := range entries { // sorted by name, so that answers do not vary
		path := filepath.Join(dir, e.Name())
		switch publisher, isIdentity := strings.CutSuffix(e.Name(), identitySuffix); {
		case strings.HasPrefix(e.Name(), "."):
		case e.Name() == revokedFile:
			b, err := readFile(path)
			if err != nil {
				return nil, err
			}
			p.revoked = new(Revoked)
			if err := strictJSON(b, p.revoked); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			if err := p.revoked.validate(); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		case isIdentity:
			b, err := readFile(path)
			if err != nil {
				return nil, err
			}
			id, err := ParseIdentity(b, path)
			if err != nil {
				return nil, err
			}
			if id.Publisher != publisher {
				return nil, fmt.Errorf("%s is the identity of %q: file and publisher must have one name", path, id.Publisher)
			}
			if err := p.keep(*id); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return p, nil
}

func readFile(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if fi.Size() > MaxIdentity {
		return nil, fmt.Errorf("%s: %d bytes, more than %d", path, fi.Size(), MaxIdentity)
	}
	return os.ReadFile(path)
}

func (p *Policy) keep(id Identity) error {
	keys, err := id.PublicKeys()
	if err != nil {
		return err
	}
	certs, err := id.Certificates()
	if err != nil {
		return err
	}
	p.identities = slices.DeleteFunc(p.identities, func(t trusted) bool { return t.Publisher == id.Publisher })
	t := trusted{Identity: id, keys: keys, certs: certs, now: func() time.Time { return p.now() }}
	t.signers.keys = keys
	if id.Keyless != nil {
		if t.signers.keyless, err = id.Keyless.prepare(); err != nil {
			return err
		}
	}
	t.builders = t.signers
	if id.Provenance != nil && len(id.Provenance.Keys) > 0 {
		t.builders = authority{}
		if t.builders.keys, err = publicKeys(id.Provenance.Keys); err != nil {
			return err
		}
	}
	p.identities = append(p.identities, t)
	sort.Slice(p.identities, func(i, j int) bool { return p.identities[i].Publisher < p.identities[j].Publisher })
	return nil
}

// Add trusts an identity, in the place of an older one of the same publisher.
func (p *Policy) Add(id *Identity) error {
	b, err := id.Encode()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(p.dir, id.Publisher+identitySuffix), b, 0o644); err != nil {
		return err
	}
	return p.keep(*id)
}

// Remove no longer trusts a publisher.
func (p *Policy) Remove(publisher string) error {
	i := slices.IndexFunc(p.identities, func(t trusted) bool { return t.Publisher == publisher })
	if i < 0 {
		return fmt.Errorf("publisher %q: %w", publisher, ErrNoIdentity)
	}
	if err := os.Remove(filepath.Join(p.dir, publisher+identitySuffix)); err != nil {
		return err
	}
	if err := syncDir(p.dir); err != nil {
		return err
	}
	p.identities = slices.Delete(p.identities, i, i+1)
	return nil
}

// List is the identities, in the order of publishers.
func (p *Policy) List() []Identity {
	ids := make([]Identity, len(p.identities))
	for i, t := range p.identities {
		ids[i] = t.Identity
	}
	return ids
}

// Verdict says why a package is trusted.
type Verdict struct {
	Publisher string
	KeyIDs    []string  // the keys that count, in the identity's order, then certificates
	Statement Statement // what they signed
	// Provenance is what the identity requires; nil if it requires none.
	Provenance *Provenance
	// KernelCertificates are those that may have signed the object.
	KernelCertificates []*x509.Certificate
}

// Verify decides whether the package of that name and version whose OCI manifest
// has that digest is trusted, given the bundles attached to it. A refusal is
// *Untrusted.
func (p *Policy) Verify(name, version, digest string, bundles [][]byte) (*Verdict, error) {
	if _, err := digestHex(digest); err != nil {
		return nil, err
	}
	refusal := &Untrusted{Name: name, Version: version, Digest: digest, Bundles: len(bundles)}
	if why := p.revoked.reason(name, version, digest); why != "" {
		refusal.Required = append(refusal.Required, "not revoked on this machine")
		refusal.Found = append(refusal.Found, Found{Bundle: -1, Reason: why})
		return nil, refusal
	}
	speaks := 0
	for _, id := range p.identities {
		if !id.Matches(name) {
			continue
		}
		speaks++
		v, found := p.verify(&id, name, version, digest, bundles)
		if v != nil {
			return v, nil
		}
		refusal.Required = append(refusal.Required, id.requires())
		refusal.Found = append(refusal.Found, found...)
	}
	if speaks == 0 {
		refusal.Required = append(refusal.Required, fmt.Sprintf("an identity trusted for the name %q", name))
		refusal.Found = append(refusal.Found, Found{Bundle: -1, Reason: p.knows()})
	} else if len(refusal.Found) == 0 {
		refusal.Found = append(refusal.Found, Found{Bundle: -1, Reason: "no signature at all"})
	}
	return nil, refusal
}

// verify asks one identity.
func (p *Policy) verify(t *trusted, name, version, digest string, bundles [][]byte) (*Verdict, []Found) {
	var found []Found
	say := func(bundle int, format string, args ...any) {
		found = append(found, Found{Publisher: t.Publisher, Bundle: bundle, Reason: fmt.Sprintf(format, args...)})
	}
	if why := t.Revoked.reason(name, version, digest); why != "" {
		say(-1, "%s", why)
		return nil, found
	}
	v := &Verdict{Publisher: t.Publisher, KernelCertificates: t.certs}
	counted := map[string]string{} // who it counts as to who it is
	revoked := func(id string) bool { return t.Revoked.key(id) || p.revoked.key(id) }
	for i, b := range bundles {
		if kind := PredicateTypeOf(b); kind == ProvenanceType || kind == SBOMType {
			continue // these say something else than that the package is trusted
		}
		att, key, err := t.signers.verify(b, digest)
		if err != nil {
			say(i, "%v", err)
			continue
		}
		st, err := att.statement(digest)
		if err != nil {
			say(i, "signed by %s: %v", key.ID, err)
			continue
		}
		switch pr := &st.Predicate; {
		case pr.Name != name:
			say(i, "signed by %s for the name %q, not %q", key.ID, pr.Name, name)
		case pr.Version != version:
			say(i, "signed by %s for version %q, not %q", key.ID, pr.Version, version)
		case revoked(key.ID):
			say(i, "signed by %s, which is revoked", key.ID)
		case key.expired(p.now()):
			say(i, "signed by %s, which expired on %s", key.ID, day(key.NotAfter))
		case t.Revoked.reason(name, version, pr.Object) != "" || p.revoked.reason(name, version, pr.Object) != "":
			say(i, "object %s is revoked", pr.Object)
		case len(counted) > 0 && pr.Object != v.Statement.Predicate.Object:
			say(i, "signed by %s for object %s, another signature says %s", key.ID, pr.Object, v.Statement.Predicate.Object)
		default:
			if len(counted) == 0 {
				v.Statement = *st
			}
			counted[key.counts] = key.ID
		}
	}
	if len(counted) < max(t.Threshold, 1) {
		if len(counted) > 0 {
			say(-1, "%d of the %d keys required have signed", len(counted), t.Threshold)
		}
		return nil, found
	}
	for _, k := range t.keys {
		if counted[k.ID] != "" {
			v.KeyIDs = append(v.KeyIDs, k.ID)
			delete(counted, k.ID)
		}
	}
	v.KeyIDs = append(v.KeyIDs, slices.Sorted(maps.Values(counted))...)
	if t.Provenance != nil {
		prov, why := t.provenance(digest, v.Statement.Predicate.Object, bundles, revoked)
		if prov == nil {
			return nil, append(found, why...)
		}
		v.Provenance = prov
	}
	return v, nil
}

func (s *Signer) expired(now time.Time) bool { return !s.NotAfter.IsZero() && now.After(s.NotAfter) }

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func (t *trusted) requires() string {
	var ids []string
	for _, k := range t.keys {
		ids = append(ids, k.ID)
	}
	if t.signers.keyless != nil {
		ids = append(ids, t.signers.keyless.names...)
	}
	s := fmt.Sprintf("signatures by %d of the keys of %s (%s)", max(t.Threshold, 1), t.Publisher, strings.Join(ids, ", "))
	if t.Provenance != nil {
		s += ", and " + t.Provenance.String()
	}
	return s
}

func (p *Policy) knows() string {
	if len(p.identities) == 0 {
		return "no one is trusted on this machine"
	}
	var out []string
	for _, id := range p.identities {
		out = append(out, fmt.Sprintf("%s for %s", id.Publisher, strings.Join(id.Names, " ")))
	}
	return "trusted are " + strings.Join(out, ", ")
}

// Certificates is every kernel certificate of the policy, in order, each once.
func (p *Policy) Certificates() []*x509.Certificate {
	var certs []*x509.Certificate
	for _, id := range p.identities {
		for _, c := range id.certs {
			if !slices.ContainsFunc(certs, c.Equal) {
				certs = append(certs, c)
			}
		}
	}
	return certs
}

// IndexRoots is the roots of the identities that have one, by publisher.
func (p *Policy) IndexRoots() map[string][]byte {
	roots := map[string][]byte{}
	for _, id := range p.identities {
		if len(id.IndexRoot) > 0 {
			roots[id.Publisher] = id.IndexRoot
		}
	}
	return roots
}
