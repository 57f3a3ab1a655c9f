// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/iupkg/iupkg/index"
	"github.com/iupkg/iupkg/install"
	"github.com/iupkg/iupkg/registry"
	"github.com/iupkg/iupkg/signing"
)

const forgedVersion = "1.6.6"

// forge puts ext 1.6.6 into the registry and lists it in alice's index, with whatever
// is wrong with it:
//
//	artifact-type=T, media-type=T, schema=N   of the OCI manifest
//	KIND-type=T, KIND-size=N, KIND-digest=D   of the descriptor of a layer or the config
//	title=PATH         the object's file name
//	extra=T            one layer more, of that media type
//	drop=KIND, twice=KIND, empty=yes          layers left out, there twice, none
//	config=V           the config of another version
//	subject=yes, urls=yes, data=yes, index=yes
//	object=V           the object, signed for the kernel, is that of another version
//	kernel=KEYS        who signs the object for the kernel, alice by default; or none, garbage
//	sign=KEYS[:K=V…]   a publisher's signature, see forgeBundle; several may be given
//	stray=N            so many referrers that are of no use, before the signatures
//	list=no            the index does not list it
//
// KIND is object, kernelsig, readme or config.
func forge(ts *testscript.TestScript, neg bool, args []string) {
	s := sceneOf(ts)
	ctx := context.Background()
	pkg, m, err := extPackage(forgedVersion)
	ts.Check(err)
	kernelKeys, object := "alice", forgedVersion
	settings(ts, neg, args, func(k, v string) {
		switch k {
		case "kernel":
			kernelKeys = v
		case "object":
			object = v
		}
	})
	signedFor := pkg.Object
	if object != forgedVersion {
		signedFor, err = extObject(object)
		ts.Check(err)
	}
	switch kernelKeys {
	case "none", "garbage":
		pkg.KernelSig = []byte("this is no signature")
	default:
		pkg.KernelSig, err = s.keys(ts, kernelKeys).SignObject(signedFor)
		ts.Check(err)
	}
	raw, _, err := registry.Pack(pkg)
	ts.Check(err)
	var o ocispec.Manifest
	ts.Check(json.Unmarshal(raw, &o))
	const repo = "packages/ext"
	blobs := [][]byte{pkg.Manifest, pkg.Object, pkg.KernelSig, pkg.Readme, []byte("{}")}
	kinds := []string{"object", "kernelsig", "readme"}
	mediaType := ocispec.MediaTypeImageManifest
	var signs []string
	stray, list := 0, true
	settings(ts, neg, args, func(k, v string) {
		kind, what, _ := strings.Cut(k, "-")
		d := &o.Config
		if i := slices.Index(kinds, kind); i >= 0 {
			d = &o.Layers[i]
		}
		switch what {
		case "size":
			n, err := strconv.ParseInt(v, 10, 64)
			ts.Check(err)
			d.Size = n
			return
		case "digest":
			ts.Check(json.Unmarshal([]byte(strconv.Quote(v)), &d.Digest))
			return
		case "type":
			switch kind {
			case "artifact":
				o.ArtifactType = v
			case "media":
				o.MediaType = v
			default:
				d.MediaType = v
			}
			return
		}
		switch k {
		case "schema":
			o.SchemaVersion, err = strconv.Atoi(v)
			ts.Check(err)
		case "title":
			o.Layers[0].Annotations[ocispec.AnnotationTitle] = v
		case "extra":
			x := o.Layers[2]
			x.MediaType = v
			o.Layers = append(o.Layers, x)
		case "drop":
			i := slices.Index(kinds, v)
			o.Layers = slices.Delete(o.Layers, i, i+1)
		case "twice":
			o.Layers = append(o.Layers, o.Layers[slices.Index(kinds, v)])
		case "empty":
			o.Layers = nil
		case "config":
			_, other, err := extPackage(v)
			ts.Check(err)
			text, err := other.Encode()
			ts.Check(err)
			blobs = append(blobs, text)
			o.Config.Digest, o.Config.Size = digestOfBytes(text), int64(len(text))
		case "object":
			b, err := extObject(v)
			ts.Check(err)
			blobs = append(blobs, b)
			o.Layers[0].Digest, o.Layers[0].Size = digestOfBytes(b), int64(len(b))
		case "subject":
			o.Subject = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: o.Config.Digest, Size: o.Config.Size}
		case "urls":
			o.Layers[0].URLs = []string{"http://example.org/object"}
		case "data":
			o.Layers[0].Data = pkg.Object
		case "sign":
			signs = append(signs, v)
		case "stray":
			stray, err = strconv.Atoi(v)
			ts.Check(err)
		case "list":
			list = v != "no"
		case "kernel":
		default:
			ts.Fatalf("forge: what is %s?", k)
		}
	})
	raw, err = json.Marshal(o)
	ts.Check(err)
	for _, b := range blobs {
		ts.Check(pushRaw(ctx, s.ref, repo, b, "", ""))
	}
	digest := install.Digest(raw)
	ts.Check(s.plantManifest(ctx, ts, repo, raw, mediaType, digest))
	var referrers []ocispec.Descriptor
	for i := range stray {
		referrers = append(referrers, s.strayReferrer(ctx, ts, repo, digest, raw, i))
	}
	for _, x := range signs {
		b := s.forgeBundle(ts, x, pkg, digest)
		referrers = append(referrers, s.referrer(ctx, ts, repo, digest, raw, b, signing.BundleMediaType))
	}
	text, err := json.Marshal(ocispec.Index{Versioned: o.Versioned, MediaType: ocispec.MediaTypeImageIndex, Manifests: referrers})
	ts.Check(err)
	if len(referrers) > 0 {
		ts.Check(s.plantManifest(ctx, ts, repo, text, ocispec.MediaTypeImageIndex, strings.Replace(digest, ":", "-", 1)))
	}
	if list {
		client, err := registry.Open(s.ref, registry.Options{Anonymous: true})
		ts.Check(err)
		ts.Check((&index.Publisher{Remote: client.Index(), Keys: s.lab.alice}).Publish(ctx, index.EntryOf(m, digest)))
	}
}

// plantManifest makes the registry answer with bytes that it would not have taken.
func (s *scene) plantManifest(ctx context.Context, ts *testscript.TestScript, repo string, raw []byte, mediaType, reference string) error {
	s.lies = append(s.lies, lie{path: "/" + repo + "/manifests/" + reference, tell: answerWith(raw, mediaType)})
	return nil
}

func (s *scene) referrer(ctx context.Context, ts *testscript.TestScript, repo, subject string, target, payload []byte, artifactType string) ocispec.Descriptor {
	ts.Check(pushRaw(ctx, s.ref, repo, payload, "", ""))
	m := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType,
		Config:  ocispec.Descriptor{MediaType: ocispec.MediaTypeEmptyJSON, Digest: digestOfBytes([]byte("{}")), Size: 2},
		Layers:  []ocispec.Descriptor{{MediaType: artifactType, Digest: digestOfBytes(payload), Size: int64(len(payload))}},
		Subject: &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digestOfBytes(target), Size: int64(len(target))},
	}
	m.SchemaVersion = 2
	raw, err := json.Marshal(m)
	ts.Check(err)
	ts.Check(s.plantManifest(ctx, ts, repo, raw, ocispec.MediaTypeImageManifest, install.Digest(raw)))
	return ocispec.Descriptor{MediaType: m.MediaType, ArtifactType: artifactType, Digest: digestOfBytes(raw), Size: int64(len(raw))}
}

// strayReferrer is the i-th of a crowd that nobody should mind.
func (s *scene) strayReferrer(ctx context.Context, ts *testscript.TestScript, repo, subject string, target []byte, i int) ocispec.Descriptor {
	junk := fmt.Appendf(nil, `{"junk":%d}`, i)
	switch i % 6 {
	case 0: // of another type
		return s.referrer(ctx, ts, repo, subject, target, junk, "application/vnd.example.scan+json")
	case 1: // says it is a bundle
		return s.referrer(ctx, ts, repo, subject, target, junk, signing.BundleMediaType)
	case 2: // of another artifact
		return s.referrer(ctx, ts, repo, subject, junk, junk, signing.BundleMediaType)
	case 3: // not there
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: signing.BundleMediaType, Digest: digestOfBytes(junk), Size: 400}
	case 4: // no digest
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: signing.BundleMediaType, Digest: "sha256:../../etc/passwd", Size: int64(i)}
	default: // no manifest
		ts.Check(s.plantManifest(ctx, ts, repo, junk, ocispec.MediaTypeImageManifest, install.Digest(junk)))
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: signing.BundleMediaType, Digest: digestOfBytes(junk), Size: int64(len(junk))}
	}
}

// forgeBundle is a signature KEYS[:K=V,…]: name, version, object and digest are of what it
// is about, type is the predicate type, verdict an attestation of that result;
// signature is none, flipped or swapped.
func (s *scene) forgeBundle(ts *testscript.TestScript, spec string, pkg *registry.Package, digest string) []byte {
	who, how, _ := strings.Cut(spec, ":")
	keys := s.keys(ts, who)
	p := signing.Predicate{Name: "ext", Version: forgedVersion, Object: install.Digest(pkg.Object), Hooks: []string{"tc", "xdp"}}
	about, kind, tamper, verdict := digest, signing.PredicateType, "", ""
	for _, kv := range strings.Split(how, ",") {
		k, v, _ := strings.Cut(kv, "=")
		switch k {
		case "name":
			p.Name = v
		case "version":
			p.Version = v
		case "object":
			p.Object = install.Digest([]byte(v))
		case "digest":
			about = install.Digest([]byte(v))
		case "type":
			kind = v
		case "verdict":
			verdict, kind = v, "https://slsa.dev/verification_summary/v1"
		case "signature":
			tamper = v
		}
	}
	predicate, err := json.Marshal(p)
	ts.Check(err)
	if verdict != "" {
		predicate = fmt.Appendf(nil, `{"verificationResult":%q,"resourceUri":"ext@%s"}`, verdict, forgedVersion)
	}
	b, err := keys.SignAttestation(&signing.Attestation{
		Subjects: []signing.Subject{{Name: "ext", Digest: map[string]string{"sha256": strings.TrimPrefix(about, "sha256:")}}}, PredicateType: kind, Predicate: predicate,
	})
	ts.Check(err)
	var bundle map[string]any
	ts.Check(json.Unmarshal(b, &bundle))
	env := bundle["dsseEnvelope"].(map[string]any)
	switch tamper {
	case "":
		return b
	case "none":
		env["signatures"] = []any{}
	case "empty":
		env["signatures"] = []any{map[string]any{"sig": ""}}
	case "payload": // another statement under the signature
		env["payload"] = []byte(strings.Replace(string(predicate), "ext", "etc", 1))
	case "plain": // a statement that is not signed at all
		return predicate
	default:
		ts.Fatalf("forge: what is signature=%s?", tamper)
	}
	b, err = json.Marshal(bundle)
	ts.Check(err)
	return b
}

// plant mixes files of the index's states; STATE counts from 1.
func plant(ts *testscript.TestScript, neg bool, args []string) {
	s := sceneOf(ts)
	files := maps.Clone(s.lab.states[2])
	settings(ts, neg, args, func(name, from string) {
		if from == "-" {
			delete(files, name)
			return
		}
		if n, err := strconv.Atoi(name); err == nil { // all of a state
			files = maps.Clone(s.lab.states[n-1])
			return
		}
		state, file, _ := strings.Cut(from, ":")
		n, err := strconv.Atoi(state)
		ts.Check(err)
		if files[name] = s.lab.states[n-1][file]; files[name] == nil {
			ts.Fatalf("plant: state %d has no %s", n, file)
		}
	})
	s.plantIndex(ts, files)
}

// plantIndex makes files the current state.
func (s *scene) plantIndex(ts *testscript.TestScript, files map[string][]byte) {
	ctx := context.Background()
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: registry.IndexArtifactType,
		Config: ocispec.Descriptor{MediaType: ocispec.MediaTypeEmptyJSON, Digest: digestOfBytes([]byte("{}")), Size: 2}}
	m.SchemaVersion = 2
	for _, name := range slices.Sorted(maps.Keys(files)) {
		ts.Check(pushRaw(ctx, s.ref, "index", files[name], "", ""))
		m.Layers = append(m.Layers, ocispec.Descriptor{MediaType: registry.IndexFileMediaType, Digest: digestOfBytes(files[name]), Size: int64(len(files[name])),
			Annotations: map[string]string{ocispec.AnnotationTitle: name}})
	}
	raw, err := json.Marshal(m)
	ts.Check(err)
	ts.Check(pushRaw(ctx, s.ref, "index", raw, m.MediaType, "latest"))
}

// resign makes a new state of the index that somebody has signed:
//
//	key=KEYS           whose index key signs, alice's by default
//	FROM=>TO           in the text of the bin of ext
//	version=N          of all roles
//	ends=DURATION      from now
//	skip=ROLE          stays as alice has signed it
//	length=N           of the bin as the node says it
func resign(ts *testscript.TestScript, neg bool, args []string) {
	s := sceneOf(ts)
	keys, version, ends, length := s.lab.alice, int64(4), time.Hour, int64(-1)
	skip := map[string]bool{}
	bin := bytes.Clone(s.lab.named["bin"].data)
	for _, arg := range args {
		if from, to, ok := strings.Cut(arg, "=>"); ok {
			if !bytes.Contains(bin, []byte(from)) {
				ts.Fatalf("resign: the bin has no %q:\n%s", from, bin)
			}
			bin = bytes.ReplaceAll(bin, []byte(from), []byte(to))
			continue
		}
		k, v, _ := strings.Cut(arg, "=")
		var err error
		switch k {
		case "key":
			keys = s.keys(ts, v)
		case "version":
			version, err = strconv.ParseInt(v, 10, 64)
		case "length":
			length, err = strconv.ParseInt(v, 10, 64)
		case "ends":
			ends, err = time.ParseDuration(v)
		case "skip":
			skip[v] = true
		default:
			ts.Fatalf("resign: what is %s?", k)
		}
		ts.Check(err)
	}
	ctx := context.Background()
	put := func(data []byte) { ts.Check(pushRaw(ctx, s.ref, "index", data, "", "")) }
	put(bin)
	if length < 0 {
		length = int64(len(bin))
	}
	var node struct {
		Schema int                       `json:"schema"`
		Bins   map[string]map[string]any `json:"bins"`
	}
	ts.Check(json.Unmarshal(s.lab.named["node"].data, &node))
	for id := range node.Bins {
		node.Bins[id] = map[string]any{"sha256": strings.TrimPrefix(install.Digest(bin), "sha256:"), "length": length, "packages": 1}
	}
	text, err := json.Marshal(node)
	ts.Check(err)
	put(text)
	until := time.Now().UTC().Add(ends).Truncate(time.Second)
	signer, err := signature.LoadSigner(keys.Index, crypto.Hash(0))
	ts.Check(err)
	files := maps.Clone(s.lab.states[2])
	targets, err := metadata.Targets().FromBytes(s.lab.named["targets"].data)
	ts.Check(err)
	snapshot, timestamp := metadata.Snapshot(until), metadata.Timestamp(until)
	targets.Signed.Version, snapshot.Signed.Version, timestamp.Signed.Version = version, version, version
	targets.Signed.Expires = until
	for name := range targets.Signed.Targets {
		f, err := metadata.TargetFile().FromBytes(name, text, "sha256")
		ts.Check(err)
		targets.Signed.Targets[name] = f
	}
	file := func(role string) string {
		if role == "timestamp" {
			return "timestamp.json"
		}
		return fmt.Sprintf("%d.%s.json", version, role)
	}
	encode := func(role string, b []byte, err error) []byte {
		ts.Check(err)
		if skip[role] {
			b = s.lab.named[role].data
		}
		files[file(role)] = b
		return b
	}
	meta := func(b []byte) *metadata.MetaFiles {
		hash, err := hex.DecodeString(strings.TrimPrefix(install.Digest(b), "sha256:"))
		ts.Check(err)
		return &metadata.MetaFiles{Version: version, Length: int64(len(b)), Hashes: metadata.Hashes{"sha256": hash}}
	}
	targets.ClearSignatures()
	_, err = targets.Sign(signer)
	ts.Check(err)
	b, err := targets.ToBytes(false)
	snapshot.Signed.Meta["targets.json"] = meta(encode("targets", b, err))
	_, err = snapshot.Sign(signer)
	ts.Check(err)
	b, err = snapshot.ToBytes(false)
	timestamp.Signed.Meta["snapshot.json"] = meta(encode("snapshot", b, err))
	_, err = timestamp.Sign(signer)
	ts.Check(err)
	b, err = timestamp.ToBytes(false)
	encode("timestamp", b, err)
	s.plantIndex(ts, files)
}
