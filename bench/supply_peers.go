// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// What others take for the same on this machine at this time: times say little on a machine
// that has other work, how many times as long as theirs says more.
const (
	peerPull   = "peer.oras.pull"
	peerVerify = "peer.cosign.verify"
)

// measureSupplyPeers has oras pull the package that iupkg pulls, and cosign verify its signature.
// A program that is not there is left out.
func measureSupplyPeers(ctx context.Context, dir, host string) ([]result, error) {
	image := host + "/packages/bench:1.0.0"
	var all []result
	if oras := other("oras"); oras != "" {
		into := filepath.Join(dir, "pulled")
		fresh := func() error { return os.RemoveAll(into) }
		p, err := runsAfter(ctx, fresh, []string{oras, "pull", "--plain-http", image, "-o", into})
		if err != nil {
			return nil, err
		}
		all = append(all, p.results(peerPull)...)
	}
	if cosign := other("cosign"); cosign != "" {
		key := filepath.Join(dir, "keys", "publisher.pub")
		p, _, err := runs(ctx, cosign, "verify", "--key", key, "--insecure-ignore-tlog", "--allow-http-registry", image)
		if err != nil {
			return nil, err
		}
		all = append(all, p.results(peerVerify)...)
	}
	return all, nil
}

// other is the path of a program in PATH or in tools/ of iupkg's cache, "" without it.
func other(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	path := filepath.Join(cache, "iupkg", "tools", name)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// compared gives what has a peer its time as the baseline.
func compared(list, peers []result) []result {
	for _, pair := range [][2]string{{"oci.pull_verify.cold", peerPull}, {"oci.verify", peerVerify}} {
		for _, part := range []string{"", ".cpu"} {
			i := slices.IndexFunc(list, func(r result) bool { return r.Name == pair[0]+part })
			j := slices.IndexFunc(peers, func(r result) bool { return r.Name == pair[1]+part })
			if i < 0 || j < 0 || peers[j].Value == 0 {
				continue
			}
			base, ratio := peers[j].Value, math.Round(100*list[i].Value/peers[j].Value)/100
			list[i].Baseline, list[i].Ratio = &base, &ratio
		}
	}
	return list
}
