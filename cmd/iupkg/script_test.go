// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// setupScript gives each script a home, a key folder and a root of its own, and
// an iupkg that uses them.
func setupScript(env *testscript.Env) error {
	env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
	env.Setenv("IUPKG_KEYS", filepath.Join(env.WorkDir, "keys"))
	env.Setenv("IUPKG_LIBDIR", filepath.Join(env.WorkDir, "lib"))
	env.Setenv("REPO_LIB", repoLib)
	env.Setenv("PROFILES", filepath.Join(repoDir, "kernel", "testdata", "profiles"))
	env.Setenv("ROOT", filepath.Join(env.WorkDir, "root"))
	// Others' tools, for [exec:cosign] and the like.
	if cache, err := os.UserCacheDir(); err == nil {
		env.Setenv("PATH", env.Getenv("PATH")+string(filepath.ListSeparator)+filepath.Join(cache, "iupkg", "tools"))
	}
	return os.MkdirAll(filepath.Join(env.WorkDir, "home"), 0o755)
}

// repoLib is what make build leaves beside bin/.
var repoLib = func() string {
	dir, err := filepath.Abs("../../lib/iupkg")
	if err != nil {
		panic(err)
	}
	return dir
}()

// scriptConditions are conditions beside those of testscript: [libdir] says that
// make build has been run, [unshare] that a process can be put into a network
// namespace of its own, which has no interface that is up.
func scriptConditions(cond string) (bool, error) {
	switch cond {
	case "libdir":
		_, err := os.Stat(filepath.Join(repoLib, "crate", "iu"))
		return err == nil, nil
	case "unshare":
		return exec.Command("unshare", "-n", "true").Run() == nil, nil
	}
	return false, fmt.Errorf("unknown condition %q", cond)
}

// scriptCommands are what scripts have beside those of testscript:
//
//	exits CODE COMMAND…      runs a command, which must exit with CODE
//	document COMMAND…        runs a command, which must print one JSON document, whatever its exit code
//	tree NAME [DIR]          remembers every file below DIR ($ROOT), with content
//	sametree NAME [DIR]      compares with what was remembered
//	flip FILE [OFFSET]       flips one bit of a file
//	flipblob DIR FILE        flips one bit of each file below DIR with FILE's content
//	restore DIR FROM         makes DIR what FROM is
//	commit N NAME@VERSION[=SET]…  makes a generation of fetched packages, see commit
//	mkext DIR VERSION …      makes a built package, see mkext
//	serve VAR DIR [ADDR]     runs a registry, see serve
//	proxy VAR ADDR MODE      runs a harmful proxy, see proxy
//	sigstore VAR SUBJECT     runs sigstore's services, see fakeSigstore
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"exits":    exits,
	"document": document,
	"tree":     tree,
	"sametree": sameTree,
	"flip":     flip,
	"flipblob": flipBlob,
	"restore":  restore,
	"commit":   commit,
	"mkext":    mkext,
	"serve":    serve,
	"proxy":    proxy,
	"sigstore": fakeSigstore,
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	if err != nil {
		exit, ok := err.(*exec.ExitError)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code is %d, want %d", code, want)
	}
}

func document(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: document COMMAND ARG…")
	}
	_ = ts.Exec(args[0], args[1:]...) // what it says is looked at, not how it went
	dec := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	var doc any
	if err := dec.Decode(&doc); err != nil {
		ts.Fatalf("no JSON document on standard output: %v", err)
	}
	if err := dec.Decode(&doc); err != io.EOF {
		ts.Fatalf("more than one JSON document on standard output: %v", err)
	}
}

// listing describes every file below dir. The lock is left out: that it is
// there, and who held it last, is no state. So is the copy of the index, a cache
// that every install renews.
func listing(dir string) (string, error) {
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || rel == "lock" {
			return err
		}
		if rel == "index" {
			return fs.SkipDir
		}
		switch {
		case d.IsDir():
			fmt.Fprintf(&b, "%s/\n", rel)
		case d.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%s -> %s\n", rel, to)
		default:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%s %x\n", rel, sha256.Sum256(data))
		}
		return nil
	})
	return b.String(), err
}

func treeArgs(ts *testscript.TestScript, neg bool, args []string) (file, now string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: tree NAME [DIR]")
	}
	dir := ts.Getenv("ROOT")
	if len(args) == 2 {
		dir = ts.MkAbs(args[1])
	}
	now, err := listing(dir)
	ts.Check(err)
	return ts.MkAbs(".tree-" + args[0]), now
}

func tree(ts *testscript.TestScript, neg bool, args []string) {
	file, now := treeArgs(ts, neg, args)
	ts.Check(os.WriteFile(file, []byte(now), 0o644))
}

func sameTree(ts *testscript.TestScript, neg bool, args []string) {
	file, now := treeArgs(ts, neg, args)
	before, err := os.ReadFile(file)
	ts.Check(err)
	if string(before) != now {
		ts.Fatalf("the files have changed; before:\n%s\nnow:\n%s", before, now)
	}
}

func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: flip FILE [OFFSET]")
	}
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	at := len(data) / 2
	if len(args) == 2 {
		at, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	data[at] ^= 1
	ts.Check(os.WriteFile(path, data, 0o644))
}

func flipBlob(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flipblob DIR FILE")
	}
	want, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	n := 0
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(data, want) {
			return err
		}
		n++
		data[len(data)/2] ^= 1
		return os.WriteFile(path, data, 0o644)
	}))
	if n == 0 {
		ts.Fatalf("no file below %s is like %s", args[0], args[1])
	}
}

func restore(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: restore DIR FROM")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.RemoveAll(dir))
	ts.Check(os.CopyFS(dir, os.DirFS(ts.MkAbs(args[1]))))
}
