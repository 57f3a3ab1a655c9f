// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/iupkg/iupkg/index"
	"github.com/iupkg/iupkg/manifest"
	"github.com/iupkg/iupkg/registry"
	"github.com/iupkg/iupkg/signing"
)

// What the supply chain is measured with.
const (
	supplyObject   = 200 << 10 // bytes of the extension that is pulled
	supplyPackages = 100_000   // in the index that is searched
)

// measureSupply takes pull, verification, search and synchronisation, from start to
// exit of the program, against the embedded registry on loopback.
func measureSupply(ctx context.Context, dir string) ([]result, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// In a process of its own, as in measureResolve; it serves the large index until
	// its standard input ends.
	maker := exec.CommandContext(ctx, self, "-make-supply", dir)
	maker.Stderr = os.Stderr
	ask, err := maker.StdinPipe()
	if err != nil {
		return nil, err
	}
	answers, err := maker.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := maker.Start(); err != nil {
		return nil, err
	}
	defer func() {
		ask.Close()
		_ = maker.Wait()
	}()
	lines := bufio.NewReader(answers)
	host, err := lines.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("make the large index: %w", err)
	}
	ref, stop, err := serveRegistry(ctx, filepath.Join(dir, "store"))
	if err != nil {
		return nil, err
	}
	defer stop()
	var all []result
	peak := 0.0
	add := func(name string, p process) {
		peak = max(peak, p.peak)
		all = append(all, p.results(name)...)
	}
	root, kernel := filepath.Join(dir, "root"), filepath.Join(dir, "kernel.json")
	common := []string{iupkg, "--root", root, "--kernel", kernel, "--no-progress"}
	pull := slices.Concat(common, []string{"--registry", ref, "install", "bench", "--download-only"})
	// Cold: neither the package nor the index is there.
	fresh := func() error {
		if err := os.RemoveAll(root); err != nil {
			return err
		}
		return os.CopyFS(filepath.Join(root, "trust"), os.DirFS(filepath.Join(dir, "trust")))
	}
	p, err := runsAfter(ctx, fresh, pull)
	if err != nil {
		return nil, err
	}
	add("oci.pull_verify.cold", p)
	p, _, err = runs(ctx, slices.Concat(common, []string{"--offline", "install", "bench", "--download-only"})...)
	if err != nil {
		return nil, err
	}
	add("oci.verify", p)
	peers, err := measureSupplyPeers(ctx, dir, strings.TrimPrefix(ref, "http://"))
	if err != nil {
		return nil, err
	}
	all = append(compared(all, peers), peers...)
	// Search: one of few, and all of them, of which the slower counts.
	large := filepath.Join(dir, "large")
	var worst process
	for _, query := range [][]string{{"package-04711"}, {"kind", "976"}, {"watches"}} {
		p, out, err := runs(ctx, slices.Concat([]string{iupkg, "--root", large, "--offline", "search"}, query)...)
		if err != nil {
			return nil, err
		}
		if len(out) == 0 {
			return nil, fmt.Errorf("search %s finds nothing", query)
		}
		if p.ms > worst.ms {
			worst = p
		}
	}
	add("index.search.100k", worst)
	// One version more, and what a sync then moves.
	if _, err := io.WriteString(ask, "publish\n"); err != nil {
		return nil, err
	}
	if _, err := lines.ReadString('\n'); err != nil {
		return nil, err
	}
	p, delta, err := syncDelta(ctx, strings.TrimSpace(host), large)
	if err != nil {
		return nil, err
	}
	peak = max(peak, p.peak)
	fi, err := os.Stat(iupkg)
	if err != nil {
		return nil, err
	}
	return append(all,
		result{Name: "index.sync.delta", Value: float64(delta), Unit: "bytes"},
		result{Name: "rss.max", Value: math.Round(peak*10) / 10, Unit: "MiB"},
		result{Name: "binary.size", Value: math.Round(float64(fi.Size())/(1<<20)*10) / 10, Unit: "MiB"},
	), nil
}

// runsAfter is runs of a command before each of which something is done.
func runsAfter(ctx context.Context, before func() error, argv []string) (p process, err error) {
	var wall, cpu []float64
	for i := range hostRuns + 1 {
		if err := before(); err != nil {
			return p, err
		}
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		began := time.Now()
		out, err := cmd.CombinedOutput()
		took := time.Since(began)
		if err != nil {
			return p, fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out)
		}
		if i == 0 {
			continue
		}
		wall, cpu = append(wall, ms(took)), append(cpu, ms(cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()))
		if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			p.peak = max(p.peak, float64(u.Maxrss)/1024)
		}
	}
	p.ms, p.cpu = median(wall), median(cpu)
	return p, nil
}

// serveRegistry runs the embedded registry in a process of its own.
func serveRegistry(ctx context.Context, dir string) (ref string, stop func(), err error) {
	cmd := exec.CommandContext(ctx, iupkg, "registry", "serve", dir, "--addr", "127.0.0.1:0", "--json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var ready struct{ Address string }
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("start the registry: %w", err)
	}
	return "http://" + ready.Address + "/bench", stop, nil
}

// benchKeys are the same in all processes of a measurement: in dir.
func benchKeys(dir string) (*signing.Keys, error) {
	keys, err := signing.LoadKeys(dir, nil)
	if !errors.Is(err, os.ErrNotExist) {
		return keys, err
	}
	if keys, err = signing.NewKeys("bench"); err != nil {
		return nil, err
	}
	if keys.IndexRoot, err = index.NewRoot(keys); err != nil {
		return nil, err
	}
	return keys, signing.SaveKeys(dir, keys, nil)
}

func digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// makeSupply publishes what measureSupply pulls and searches.
func makeSupply(ctx context.Context, dir string) error {
	keys, err := benchKeys(filepath.Join(dir, "keys"))
	if err != nil {
		return err
	}
	id, err := keys.Identity("*")
	if err != nil {
		return err
	}
	policy, err := signing.OpenPolicy(filepath.Join(dir, "trust"))
	if err != nil {
		return err
	}
	if err := policy.Add(id); err != nil {
		return err
	}
	profile := `{"schema": 1, "release": "6.12.117+deb12-amd64", "arch": "amd64", "config": {}, "hooks": {"xdp": "yes"}}`
	if err := os.WriteFile(filepath.Join(dir, "kernel.json"), []byte(profile), 0o644); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ready, done := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		done <- registry.Serve(ctx, registry.ServeOptions{Dir: filepath.Join(dir, "store"), Addr: "127.0.0.1:0", Ready: func(a net.Addr) { ready <- a }})
	}()
	defer func() {
		cancel()
		<-done
	}()
	var host string
	select {
	case a := <-ready:
		host = "http://" + a.String()
	case err := <-done:
		return err
	}
	client, err := registry.Open(host+"/bench", registry.Options{Anonymous: true})
	if err != nil {
		return err
	}
	if err := publishBench(ctx, client, keys); err != nil {
		return err
	}
	large := filepath.Join(dir, "large")
	if err := os.CopyFS(filepath.Join(large, "trust"), os.DirFS(filepath.Join(dir, "trust"))); err != nil {
		return err
	}
	shelf := newShelf()
	if err := largeIndex(ctx, shelf, keys, large); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: shelf}
	go srv.Serve(ln)
	defer srv.Close()
	fmt.Println(ln.Addr())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if err := (&index.Publisher{Remote: shelf, Keys: keys}).Publish(ctx, largeEntry("package-04711", "2.0.0")); err != nil {
			return err
		}
		fmt.Println("published")
	}
	return nil
}

// largeIndex publishes the index that is searched into shelf, and synchronises root.
func largeIndex(ctx context.Context, shelf *shelf, keys *signing.Keys, root string) error {
	var entries []index.Entry
	for i := range supplyPackages {
		e := largeEntry(fmt.Sprintf("package-%05d", i), fmt.Sprintf("1.%d.0", i%7))
		e.Description = fmt.Sprintf("Watches traffic of kind %d and counts what the other %d do not", i%977, i%31)
		entries = append(entries, e)
	}
	if err := (&index.Publisher{Remote: shelf, Keys: keys}).Publish(ctx, entries...); err != nil {
		return err
	}
	_, err := index.Sync(ctx, shelf, filepath.Join(root, "index"), keys.IndexRoot)
	return err
}

func largeEntry(name, version string) index.Entry {
	return index.Entry{Name: name, License: "Apache-2.0", Version: index.Version{
		Version: version, Digest: digest([]byte(name + version)),
		Requires: manifest.Requirements{Release: ">=6.1", Config: []string{"BPF_SYSCALL=y", "NET_CLS_ACT"}, Hooks: []manifest.Hook{manifest.HookXDP}, ABI: 1},
	}}
}

// publishBench publishes an extension whose object is as good as random.
func publishBench(ctx context.Context, client *registry.Client, keys *signing.Keys) error {
	object := make([]byte, supplyObject)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range object {
		object[i] = byte(rng.Uint32())
	}
	m := &manifest.Manifest{
		Schema: manifest.Schema, Name: "bench", Version: "1.0.0", License: "Apache-2.0", Arch: "amd64",
		Object:    manifest.Object{Digest: digest(object), Size: int64(len(object))},
		Requires:  manifest.Requirements{Release: ">=6.1", Hooks: []manifest.Hook{manifest.HookXDP}, ABI: 1},
		Programs:  []manifest.Program{{Name: "main", Hook: manifest.HookXDP, OnFault: "pass"}},
		Toolchain: manifest.Toolchain{Rustc: "1.96.0", LLVM: "22.1.8", IU: "0.1"},
	}
	text, err := m.Encode()
	if err != nil {
		return err
	}
	pkg := &registry.Package{Manifest: text, Object: object, Version: m.Version}
	if pkg.KernelSig, err = keys.SignObject(object); err != nil {
		return err
	}
	at, err := client.Push(ctx, pkg)
	if err != nil {
		return err
	}
	bundle, err := keys.SignStatement(&signing.Statement{Digest: at, Predicate: signing.Predicate{
		Name: m.Name, Version: m.Version, Object: m.Object.Digest, Hooks: []string{"xdp"},
	}})
	if err != nil {
		return err
	}
	if err := client.Attach(ctx, m.Name, at, registry.Attachment{
		MediaType: signing.BundleMediaType, ArtifactType: signing.BundleMediaType, Payload: bundle,
		// By which cosign finds it.
		Annotations: map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": signing.PredicateType},
	}); err != nil {
		return err
	}
	return (&index.Publisher{Remote: client.Index(), Keys: keys}).Publish(ctx, index.EntryOf(m, at))
}

// syncDelta counts all bytes that pass over the connections of a sync, in both
// directions.
func syncDelta(ctx context.Context, host, root string) (p process, moved int64, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return p, 0, err
	}
	defer ln.Close()
	var total atomic.Int64
	var pipes sync.WaitGroup
	go func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", host)
			if err != nil {
				near.Close()
				return
			}
			for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
				pipes.Go(func() {
					n, _ := io.Copy(pair[0], pair[1])
					total.Add(n)
					pair[0].Close()
				})
			}
		}
	}()
	cmd := exec.CommandContext(ctx, iupkg, "--root", root, "--registry", "http://"+ln.Addr().String()+"/large", "sync", "--json")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return p, 0, fmt.Errorf("sync: %w\n%s", err, out)
	}
	if !bytes.Contains(out, []byte(`"changed": 2`)) {
		return p, 0, fmt.Errorf("sync did not fetch a node and a bin: %s", out)
	}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		p.peak = float64(u.Maxrss) / 1024
	}
	pipes.Wait()
	return p, total.Load(), nil
}
