// SPDX-License-Identifier: Apache-2.0

// Package kernel is the kernel as iupkg sees it: what a running kernel is
// (Facts), how an object becomes a module of it (Wrap), how the runtime is
// driven (Device), and how an extension comes and goes (Load, Unload).
//
// Specs are values: ReadObject, Wrap and the parameters of a LoadSpec are
// worked out without touching the host, and fail before anything has changed.
// Objects are made by functions that name them: InstallRuntime, OpenDevice,
// Load. Load keeps a journal; whatever it has done is undone in reverse when a
// later step fails, and what it did not commit goes away with its process.
//
// abi.go mirrors kernel/module/iu_abi.h, uapi.go mirrors kernel/module/iu_uapi.h;
// a test compiles the headers and compares every size, offset and number.
package kernel
