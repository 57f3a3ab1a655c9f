// SPDX-License-Identifier: Apache-2.0

// Package index is the signed list of packages: names, versions, digests and what
// each version requires, so that a machine can search and resolve with no network
// once it has synchronised, and no registry or mirror can add, change, hide or roll
// back a version without being noticed.
//
// # Roles
//
// The list is a TUF repository (https://theupdateframework.github.io/specification/v1.0.33/)
// with consistent snapshots; all keys are Ed25519, thresholds 1:
//
//	N.root.json       keys and roles, N from 1; ends after 1 year; signed by the owner
//	N.targets.json    the owner's list, every target file with its length and SHA-256,
//	                  and to whom he delegates which names; 1 year; by the owner
//	N.PUBLISHER.json  a delegated role: that publisher's list; 1 year; by his index key
//	N.snapshot.json   version, length and SHA-256 of targets.json and the delegated
//	                  roles; 30 days; by the owner or any of these publishers
//	timestamp.json    version, length and SHA-256 of snapshot.json; 30 days; likewise.
//	                  Its field x-iupkg-history has the marks of up to 192 states whose
//	                  content is in this one, the one it was made from first
//
// A client is given its first root.json by whoever decides what the machine
// trusts, never by the registry. It refuses whatever is not signed by the keys that
// the chain of roots from that one names, has expired, or has a version less than
// one that it has seen; [Publisher.Refresh] signs anew what nobody changes.
//
// The owner delegates names by patterns over the targets packages/NAME.json. A
// delegated role's other targets are not looked at, one that does not hold takes away
// its own packages only, and a thief of its key, who can sign snapshot and timestamp,
// can list nothing under others' names; the versions he has raised are forgotten with
// the root that no longer has the key. A name in the owner's list is not looked for in
// any other; of delegated roles the first that has it counts.
//
// # Publishing at once
//
// Registries cannot compare and swap. Each state, before it is made current, gets a
// mark that stays: its version in 19 digits, "-", and the first 24 hex digits of
// timestamp.json's SHA-256. Whoever publishes merges each marked and signed state of
// the last 64 versions that is not in the history of the current one; after making
// his state current he looks again, until there is none. Of those at work at one
// time the last to set what is current sees the marks of all others after that, so
// what is current in the end has everything. Of his own role he merges packages one
// by one against the state that both were made from; roles of others he takes over as
// they were signed. Who dies before the mark has published nothing; who dies after
// it has done so when the next one publishes.
//
// # Target files
//
// All are JSON, at "targets/" and the target's path with the hash put before the
// last element. Packages are spread by the SHA-256 of their names over 4096 bins, of
// which 64 nodes keep the hashes, so that the change of one package in a hundred
// thousand moves some 25 KiB: the roles, one node and one bin. Nodes and bins of no
// packages are not there. The owner signs the nodes, so what a node names is as good
// as signed.
//
// bins/NN.json, a node, at most 1 MiB; NN is the first six bits of the hash in two hex
// digits, 00 to 3f:
//
//	schema       1
//	bins         the bin's identifier, the first twelve bits in three hex digits, to
//	             its sha256, its length in bytes, and how many packages it has
//
// packages/NAME.json, one package of a delegated role, as in a bin.
//
// bins/NNN.json, a bin, at most 32 MiB: schema and packages in the order of names,
// each at most [MaxPackage] bytes:
//
//	schema       1
//	name         NAME
//	description, license, repository   of the newest version published
//	deprecated   why it should no longer be used; absent if it may be
//	advisories   in the order of id, at most 1024, each with id, affects (a constraint),
//	             severity (low, moderate, high, critical), summary, url
//	versions     ascending, at most [MaxVersions], each:
//	    version       semantic version
//	    digest        of the OCI manifest, "sha256:" and 64 hex digits; of a version with
//	                  variants that of the OCI image index
//	    yanked        why it should not be chosen any more; absent if it may be
//	    requires      what a kernel must offer, as in the manifest; of a version with
//	                  variants what all of them require
//	    variants      2 to [MaxVariants] objects of which a kernel gets the first that it
//	                  meets the requirements of, each with digest, of the OCI manifest,
//	                  and requires; absent if there is one object only
//	    dependencies  name to constraint
//	    conflicts     name to constraint
//	    provides      name to version
//	    features      name to dependencies
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
