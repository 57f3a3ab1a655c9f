// SPDX-License-Identifier: Apache-2.0

// Package index is the signed list of packages: names, versions, digests and what
// each version requires, so that a machine can search and resolve with no network
// once it has synchronised, and no registry or mirror can add, change, hide or roll
// back a version without being noticed.
//
// # Roles
//
// The list is a TUF repository (https://theupdateframework.github.io/specification/v1.0.33/)
// with consistent snapshots, all roles signed by the publisher's Ed25519 index key,
// threshold 1:
//
//	N.root.json       keys and roles, N from 1; ends after 1 year
//	N.targets.json    every target file with its length and SHA-256; 1 year
//	N.snapshot.json   version, length and SHA-256 of targets.json; 30 days
//	timestamp.json    version, length and SHA-256 of snapshot.json; 30 days
//
// A client is given its first root.json by whoever decides what the machine
// trusts, never by the registry. It refuses whatever is not signed by the keys that
// the chain of roots from that one names, has expired, or has a version less than
// one that it has seen; [Publisher.Refresh] signs anew what nobody changes.
//
// # Target files
//
// All are JSON, at "targets/" and the target's path with the hash put before the
// last element. Packages are spread by the SHA-256 of their names over 4096 bins, of
// which 64 nodes keep the hashes, so that the change of one package in a hundred
// thousand moves some 25 KiB: the roles, one node and one bin. Nodes and bins of no
// packages are not there. The roles sign the nodes, so what a node names is as good
// as signed.
//
// bins/NN.json, a node, at most 1 MiB; NN is the first six bits of the hash in two hex
// digits, 00 to 3f:
//
//	schema       1
//	bins         the bin's identifier, the first twelve bits in three hex digits, to
//	             its sha256, its length in bytes, and how many packages it has
//
// bins/NNN.json, a bin, at most 32 MiB: schema and packages in the order of names,
// each at most [MaxPackage] bytes:
//
//	schema       1
//	name         NAME
//	description, license, repository   of the newest version published
//	versions     ascending, at most [MaxVersions], each:
//	    version       semantic version
//	    digest        of the OCI manifest, "sha256:" and 64 hex digits
//	    yanked        why it should not be chosen any more; absent if it may be
//	    requires      what a kernel must offer, as in the manifest
//	    dependencies  name to constraint
//	    conflicts     name to constraint
//
// Fields that a reader does not know it skips; what must not be skipped gets
// another schema. Targets at other paths are skipped likewise.
//
// # Local copy
//
// [Sync] keeps in a folder blobs/<sha256>, files named by their hash, and
// current.json, which names the roles' files and is replaced last, in one step: a
// crash leaves the old copy or the new one. Two blobs
// more are made here from the bins, one for [Index.Search] to look through and one
// that [Index.Versions] answers from; checksums guard them against damage. [Open]
// verifies the copy again.
package index
