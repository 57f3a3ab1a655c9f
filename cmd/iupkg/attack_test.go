// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/iupkg/iupkg/signing"
)

// One file in testdata/attacks is one thing that somebody hostile may do: the
// registry or whoever is between, another publisher, one whose key was stolen. Each
// says what he does and what comes of it:
//
//	lie WHAT HOW [ARG]      the registry answers falsely: see tells for HOW. WHAT is object,
//	                        config, kernelsig, readme, bundle, manifest, referrers, of ext 1.2.0
//	                        or with @VERSION of another; latest, root, timestamp, snapshot,
//	                        targets, node, bin of the index; or /TEXT, all paths with it
//	forge KEY=VALUE…        an artifact that no publisher would make, see forge
//	plant FILE=STATE:FILE…  files of older states of the index in the newest; - removes one
//	resign KEY=VALUE…       an index that somebody's key has signed, see resign
//	policy KEY=VALUE…       what this machine trusts, see policy
//	attack CODE REGEXP [ARG…]  iupkg ARG…, or install ext --download-only, must exit with
//	                        CODE and say REGEXP, and leave every file as it was
//	truth [ARG…]            the same must succeed
//
// All of it runs the real program, a process for each command.
func TestAttacks(t *testing.T) {
	cases, err := filepath.Glob("testdata/attacks/*.txtar")
	if err != nil || len(cases) < 60 {
		t.Errorf("%d cases of attacks, want at least 60: %v", len(cases), err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/attacks",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setupAttack,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"lie": addLie, "forge": forge, "plant": plant, "resign": resign, "policy": editPolicy, "attack": attack, "truth": truth,
		},
	})
}

// scene is what a case has of its own.
type scene struct {
	lab   *lab
	ref   string // of the registry as it is
	lies  []lie
	proxy *httptest.Server
	debug bool
}

type sceneKey struct{}

func setupAttack(env *testscript.Env) error {
	l, err := theLab()
	if err != nil {
		return err
	}
	for _, d := range [][2]string{{l.store, "store"}, {l.root, "root"}} {
		if err := os.CopyFS(filepath.Join(env.WorkDir, d[1]), os.DirFS(d[0])); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(env.WorkDir, "debian.json"), l.debian, 0o644); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	ref, done, err := serveStore(ctx, filepath.Join(env.WorkDir, "store"))
	if err != nil {
		stop()
		return err
	}
	s := &scene{lab: l, ref: ref}
	env.Values[sceneKey{}] = s
	env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
	env.Defer(func() {
		if s.proxy != nil {
			s.proxy.CloseClientConnections()
			s.proxy.Close()
		}
		stop()
		done()
	})
	return nil
}

func sceneOf(ts *testscript.TestScript) *scene { return ts.Value(sceneKey{}).(*scene) }

func addLie(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: lie WHAT HOW [ARG]")
	}
	s := sceneOf(ts)
	x := lie{}
	if strings.HasPrefix(args[0], "/") {
		x.part = args[0]
	} else if n, ok := s.lab.named[args[0]]; ok {
		x.path = n.path
	} else {
		ts.Fatalf("lie: what is %s?", args[0])
	}
	make, ok := tells[args[1]]
	if !ok {
		ts.Fatalf("lie: how is %s?", args[1])
	}
	var err error
	x.tell, err = make(s.lab, strings.Join(args[2:], ""))
	ts.Check(err)
	s.lies = append(s.lies, x)
}

// run is the program against the registry with its lies.
func (s *scene) run(ts *testscript.TestScript, args []string) (code int, stderr string) {
	if s.proxy == nil {
		var err error
		s.proxy, err = liar(s.ref, s.lies)
		ts.Check(err)
	}
	if len(args) == 0 {
		args = []string{"install", "ext", "--download-only", "--set", "iface=eth0"}
	}
	if args[0] == "install" && len(args) == 2 {
		args = append(args, "--download-only", "--set", "iface=eth0")
	}
	cmd := exec.Command(lookPath(ts, "iupkg"), append([]string{"--root", ts.MkAbs("root"), "--registry", s.proxy.URL + "/test", "--kernel", ts.MkAbs("debian.json")}, args...)...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{"HOME=" + ts.Getenv("HOME"), "PATH=" + ts.Getenv("PATH"), "NO_COLOR=1"}
	var out bytes.Buffer
	cmd.Stderr = &out
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	ts.Logf("exit %d\n%s", code, out.String())
	return code, out.String()
}

func attack(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: attack CODE REGEXP [ARG…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	s := sceneOf(ts)
	before := everything(ts, true)
	began := time.Now()
	code, stderr := s.run(ts, args[2:])
	if code != want {
		ts.Fatalf("exit code is %d, want %d", code, want)
	}
	if !regexp.MustCompile(args[1]).MatchString(stderr) {
		ts.Fatalf("it does not say %s", args[1])
	}
	if took := time.Since(began); took > 10*time.Second {
		ts.Fatalf("it took %v", took)
	}
	// An index that is refused is not kept. One that holds may be, whatever came after.
	if after := everything(ts, strings.Contains(stderr, "index file")); !strings.HasPrefix(before, after) {
		ts.Fatalf("files have changed; before:\n%s\nafter:\n%s", before, after)
	}
	_, err = os.Stat(ts.MkAbs("root/blobs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		ts.Fatalf("%v", err)
	}
}

// everything is every file there is but the registry's own, and at its end the index
// that this machine goes by.
func everything(ts *testscript.TestScript, withIndex bool) string {
	var b strings.Builder
	for _, dir := range []string{"root", "home", "tmp"} {
		list, err := listing(ts.MkAbs(dir))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		ts.Check(err)
		b.WriteString(strings.TrimPrefix(list, "./\n"))
	}
	entries, err := os.ReadDir(ts.MkAbs("."))
	ts.Check(err)
	for _, e := range entries {
		b.WriteString(e.Name() + "\n")
	}
	if withIndex {
		text, err := os.ReadFile(ts.MkAbs("root/index/current.json"))
		ts.Check(err)
		b.Write(text)
	}
	return b.String()
}

func truth(ts *testscript.TestScript, neg bool, args []string) {
	if code, _ := sceneOf(ts).run(ts, args); neg || code != 0 {
		ts.Fatalf("exit code is %d, want 0", code)
	}
}

// settings splits KEY=VALUE arguments.
func settings(ts *testscript.TestScript, neg bool, args []string, each func(key, value string)) {
	if neg {
		ts.Fatalf("it cannot be negated")
	}
	for _, arg := range args {
		k, v, _ := strings.Cut(arg, "=")
		each(k, v)
	}
}

// policy changes what this machine trusts:
//
//	expired=yes        alice's key expired yesterday
//	names=PATTERN      she is trusted for these names
//	threshold=2        carol's key counts too, and both must sign
//	builder=PATTERN    provenance is required
//	certificate=KEYS   the kernel certificate is that of mallory, or none
//	revoke-key=KEYS, revoke-version=V, revoke-digest=WHAT  by the publisher herself
//	banned-…           the same by this machine
//	nobody=yes         nobody is trusted for packages; the index stays
//	mallory=PATTERN    mallory is trusted too, for these names
func editPolicy(ts *testscript.TestScript, neg bool, args []string) {
	s := sceneOf(ts)
	id, err := signing.ParseIdentity(s.lab.aliceID, "alice.trust")
	ts.Check(err)
	var banned signing.Revoked
	p, err := signing.OpenPolicy(ts.MkAbs("root/trust"))
	ts.Check(err)
	settings(ts, neg, args, func(k, v string) {
		revoke := func(r *signing.Revoked, what string) {
			switch what {
			case "key":
				keyID, err := signing.KeyID(s.keys(ts, v).Publisher.Public())
				ts.Check(err)
				r.Keys = append(r.Keys, keyID)
			case "version":
				r.Versions = append(r.Versions, "ext@"+v)
			case "digest":
				n := s.lab.named[v]
				r.Digests = append(r.Digests, n.path[strings.LastIndex(n.path, "/")+1:])
			default:
				ts.Fatalf("policy: what is %s?", k)
			}
		}
		switch k {
		case "expired":
			then := time.Now().Add(-24 * time.Hour)
			id.Keys[0].NotAfter = &then
		case "names":
			id.Names = []string{v}
		case "threshold":
			other, err := s.lab.carol.Identity("ext")
			ts.Check(err)
			id.Keys = append(id.Keys, other.Keys...)
			id.Threshold, err = strconv.Atoi(v)
			ts.Check(err)
		case "builder":
			id.Provenance = &signing.RequireProvenance{Builders: []string{v}}
		case "certificate":
			id.KernelCertificates = nil
			if v != "none" {
				other, err := s.keys(ts, v).Identity("ext")
				ts.Check(err)
				id.KernelCertificates = other.KernelCertificates
			}
		case "mallory":
			other, err := s.lab.mallory.Identity(v)
			ts.Check(err)
			other.IndexRoot = nil
			ts.Check(p.Add(other))
		default:
			if what, ok := strings.CutPrefix(k, "revoke-"); ok {
				id.Revoked = &signing.Revoked{}
				revoke(id.Revoked, what)
			} else if what, ok := strings.CutPrefix(k, "banned-"); ok {
				revoke(&banned, what)
				text, err := json.Marshal(banned)
				ts.Check(err)
				ts.Check(os.WriteFile(ts.MkAbs("root/trust/revoked.json"), text, 0o644))
			} else {
				ts.Fatalf("policy: what is %s?", k)
			}
		}
	})
	ts.Check(p.Add(id))
}

func (s *scene) keys(ts *testscript.TestScript, name string) *signing.Keys {
	switch name {
	case "alice":
		return s.lab.alice
	case "mallory":
		return s.lab.mallory
	case "carol":
		return s.lab.carol
	}
	ts.Fatalf("who is %s?", name)
	return nil
}
