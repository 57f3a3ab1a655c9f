// SPDX-License-Identifier: Apache-2.0

// Package install is the durable side of iupkg: what is on this machine, and
// the transactions that change it.
//
// # The root directory
//
// All state stands below one directory, /var/lib/iupkg unless told otherwise:
//
//	blobs/sha256/<64 hex>   every fetched byte sequence, named by its SHA-256
//	quarantine/             blobs whose bytes no longer matched their name
//	artifacts/<hex>.json    which blobs a fetched artifact has (type Fetched), by its OCI manifest
//	generations/<N>.json    a committed set of packages (type Generation), never rewritten
//	current                 symbolic link to generations/<N>.json, the set in force
//	loaded/<name>.json      what the kernel made of a package (kernel.Loaded), for the running boot
//	loaded/<name>.next      the same of a replacement that is not known to be committed
//	pending.json            the transaction under way (type journal); gone when it ended
//	prepared/<release>.json what is to be loaded when another kernel boots (type Prepared)
//	lock                    flock'ed by the one writer
//	index/, trust/          of the packages index and signing
//	runtime/<release>/      iu.ko that iupkg setup built here
//
// Files are 0644 and directories 0755: there are no secrets here. Every file is
// written as a temporary beside it, synced, renamed over it, and the directory
// synced, so after a power cut each is old or new, and a `current` that can be
// read names a generation that can be read.
//
// # One writer, many readers
//
// Whoever changes anything holds the lock, from before it reads the state that
// it decides on until after the new generation is current. A second writer gets
// ErrBusy at once. Readers take no lock: generations and blobs are immutable, and
// `current` moves in one step. A reader that meets a blob deleted by a later
// garbage collection reports it as missing.
//
// # Transactions
//
// A transaction fetches and verifies everything before the kernel is asked for
// anything. Each step that changes something pushes its inverse, and a failure
// runs those in reverse order, so a failed transaction leaves blobs, kernel and
// generations as they were. What a killed transaction leaves in the kernel (the
// runtime drops by itself what was not committed; pins in bpffs stay) is in
// the journal, and the next writer undoes it first: what of the old generation is
// still whole stays as it is, a replacement is taken back in place with its maps,
// all else is unloaded and loaded again. After a reboot, when the kernel has
// nothing, Restore loads the generation in force.
//
// # Trust
//
// Nothing read from the root directory is believed because it is there: a blob
// is hashed whenever it is opened, and one that fails is moved to quarantine/,
// to be fetched again.
package install
