// SPDX-License-Identifier: Apache-2.0

// Package registry keeps packages in OCI registries: the client, the layout of
// what is stored there, and an embedded registry.
//
// # Names
//
// A registry is HOST[:PORT]/PREFIX, spoken to by HTTPS, or
// http://HOST[:PORT]/PREFIX, the only way to get plain HTTP. In it a package is
// the repository PREFIX/packages/NAME, a version the tag VERSION in that
// repository. The index of packages is the repository PREFIX/index.
//
// # Artifact
//
// A version is an OCI 1.1 image manifest
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md), at most
// [MaxManifest] bytes of JSON without white space, fields in this order:
//
//	schemaVersion  2
//	mediaType      application/vnd.oci.image.manifest.v1+json
//	artifactType   application/vnd.iupkg.extension.v1
//	config         application/vnd.iupkg.manifest.v1+json: the extension's manifest,
//	               package manifest's JSON, at most 1 MiB
//	layers         in this order, the first two always there, no others, no kind twice:
//	                 application/vnd.iupkg.object.v1+elf              NAME.o      1 B to 4 MiB
//	                 application/vnd.iupkg.kernel-signature.v1+pkcs7  NAME.o.p7s  1 B to 64 KiB
//	                 application/vnd.iupkg.debug.v1+elf               NAME.debug  1 B to 64 MiB
//	                 text/markdown                                    README.md   1 B to 1 MiB
//	                 text/plain                                       LICENSE     1 B to 1 MiB
//	annotations    org.opencontainers.image.title NAME,
//	               org.opencontainers.image.version VERSION
//
// Each layer has the annotation org.opencontainers.image.title with the file name
// given above, for tools; this package never makes a path of it. There are no
// times anywhere: the same bytes in give the same digest.
//
// Digests are SHA-256 only. A reader refuses another artifactType or media type,
// layers missing, repeated, unknown or beyond their size, descriptors with urls or
// data, a subject, and a config whose name, version, object digest or object size
// are not those of the artifact it stands in. Annotations are not looked at.
//
// # Variants
//
// A version may have several objects, of one source for several kinds of kernels. It is
// then an OCI 1.1 image index
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md) under the
// tag, at most [MaxManifest] bytes of JSON without white space:
//
//	schemaVersion  2
//	mediaType      application/vnd.oci.image.index.v1+json
//	artifactType   application/vnd.iupkg.extension.v1
//	manifests      2 to [MaxVariants] artifacts as above, each of the version's name and
//	               version, no digest twice, the preferred first. A descriptor has
//	                 artifactType  application/vnd.iupkg.extension.v1
//	                 platform      os "linux", architecture the object's
//	                 annotations   dev.iupkg.variant: its requires.config, joined by " && "
//	annotations    as of an artifact
//
// What a variant needs of a kernel stands in its own manifest, field requires, and for the
// solver in the index of packages, which lists the variants of a version in the same
// order: a kernel gets the first of which it meets all requirements. The artifact of that
// is fetched by digest, and is signed, attested and installed as one without variants
// is; the image index is there for tools and for copying, and is signed too, with the
// object of the preferred variant in the predicate.
//
// A build leaves the first variant where it leaves an only one, target/iupkg/, and each
// further one, with the same files, in target/iupkg/variants/N/, N from 1, decimal.
//
// # Wrappers made ahead
//
// A machine that takes signed modules only cannot make the module around an object by
// itself. What it would make, see kernel.Wrap, with the publisher's signature appended as
// the kernel's scripts/sign-file does it, may be attached to an artifact as a referrer, see
// below, with
//
//	artifactType   application/vnd.iupkg.wrapper.v1
//	layer          application/vnd.iupkg.module.v1+elf, the module
//	annotations    dev.iupkg.kernel.release: uname -r of the kernel that it is for
//
// so that kernels which come out after the version get theirs too. Machines whose kernel
// takes signed modules only fetch those for its release, and load one if, without the
// signature, it is byte for byte the module that they would have made.
//
// # Referrers
//
// What is said about an artifact is attached to it as a referrer: an OCI image
// manifest with the artifact as subject, an artifactType, the empty config
// (application/vnd.oci.empty.v1+json, "{}") and exactly one layer, the payload, at
// most [MaxReferrer] bytes, a wrapper's too. The publisher's signature, provenance and SBOM are each
// one, with artifactType and layer media type
// application/vnd.dev.sigstore.bundle.v0.3+json, and with the annotations by which
// cosign finds them: dev.sigstore.bundle.content "dsse-envelope" and
// dev.sigstore.bundle.predicateType. No reader here believes annotations. Referrers are found by
// the referrers API, or where a registry has none by the tag schema
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema).
// The embedded registry serves the API, and keeps what it lists where the schema has it.
// At most [MaxReferrers] are looked at, of at most 16 MiB together, the smallest first.
//
// # Index
//
// See [IndexStore].
//
// # Layouts
//
// A registry may also be oci:PATH, an OCI image layout
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md): a
// folder, or a tar file of one (not compressed, only read). It holds what a registry
// would, and everything read from it passes through the same checks. An entry of
// its index.json has the annotations dev.iupkg.repository, the repository below the
// prefix, and if it is tagged dev.iupkg.tag and, for other tools,
// org.opencontainers.image.ref.name NAME_VERSION, as in "bmc_1.2.0". Referrers are
// listed without tags. Entries without dev.iupkg.repository are not looked at. One
// process may write to a folder at a time. index.json has at most 64 MiB, a tar file
// at most a million entries, of which all but the layout's own files are not looked at.
//
// # Hostile registries
//
// Nothing a registry says is believed. Sizes are checked in descriptors before a
// byte is asked for, reading stops one byte after the size, and every byte is
// hashed on its way to the [Store], which hashes it again. Connecting takes at
// most 10 s, 15 s without a byte end a transfer, and a whole transfer has 60 s and
// 1 s more for each 32 KiB. Requests are repeated up to three times, after 0.2,
// 0.4 and 0.8 s, when the registry refuses the connection, drops it, or answers
// 429 or 5xx. A blob whose transfer broke is taken up where it ended, up to three times.
// Redirects from HTTPS to HTTP are not followed. All failures are
// [*Error].
package registry
