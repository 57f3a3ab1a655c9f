// SPDX-License-Identifier: Apache-2.0

// Package signing signs and verifies bytes and digests, keeps a publisher's
// keys, and holds the policy that says whom this machine trusts. It knows of
// packages only that they have a name and a version, which are strings. It
// imports nothing else of this module and never uses the network.
//
// # Keys
//
// A publisher has three private keys. They live in one folder, mode 0700, each
// file mode 0600:
//
//	publisher.key   ECDSA P-256, PKCS#8 PEM ("PRIVATE KEY", or with a password
//	                "ENCRYPTED SIGSTORE PRIVATE KEY", as cosign writes them)
//	publisher.pub   its public half, PKIX PEM, what cosign calls cosign.pub
//	kernel.key      RSA 3072, PKCS#8 PEM
//	kernel.crt      its X.509 v3 certificate, self-signed, PEM: common name is the
//	                publisher's name, key usage digitalSignature, extended key
//	                usage codeSigning, not a CA, subject and authority key
//	                identifiers, valid for ten years
//	index.key       Ed25519, PKCS#8 PEM
//	index-root.json the index's first TUF root, opaque to this package; optional
//
// A file publisher.signer or kernel.signer in the place of the private key says which
// program has it, see [External].
//
// A key's identifier is "sha256:" and the hex SHA-256 of its PKIX DER.
//
// # Publisher's signature
//
// [Keys.SignStatement] makes a sigstore bundle v0.3
// (application/vnd.dev.sigstore.bundle.v0.3+json) with a public key hint, the
// base64 SHA-256 of the PKIX DER, and a DSSE envelope of payload type
// application/vnd.in-toto+json around an in-toto statement v1. The statement has
// exactly one subject, the SHA-256 of the OCI manifest, and the predicate
// https://iupkg.dev/extension/v1:
//
//	name       the package's name
//	version    its version
//	object     digest of the ELF object, "sha256:" and 64 hex digits
//	requires   what a kernel must offer, as in the manifest
//	hooks      hook types the programs attach to
//	toolchain  what built the object, as in the manifest
//
// Statements of version 0.1, which cosign attest writes, are read too.
//
// [Keys.SignAttestation] makes the same bundle around any in-toto statement with the
// OCI manifest among its subjects. A policy reads two more predicate types: SLSA
// provenance (https://slsa.dev/provenance/v1), which an identity may require, and SPDX
// (https://spdx.dev/Document). Neither says that a package is trusted.
//
// Bundles made with a key carry no time: no transparency log and no time stamp
// are asked for, so that they verify on a machine with no network. What ends a
// key's life is the policy: an expiry by this machine's clock, or a revocation.
// A bundle is at most [MaxBundle] bytes.
//
// # Certificates
//
// A bundle may have a certificate in the place of a key's hint. It is verified by
// the identity's trusted root alone, a file, with no network: the certificate's
// chain; a time that somebody vouches for, at which the certificate was valid; if
// the root names logs, an entry of this signature in one of them with its proof of
// inclusion and a signed checkpoint; if it names certificate transparency logs, a
// signed certificate timestamp. Nothing that the root names can be left out.
// [Keys.Witness] has them made: it speaks to sigstore's services, this package does not.
//
// # Kernel signature
//
// [Keys.SignObject] makes what the kernel's scripts/sign-file makes: a detached
// PKCS#7 SignedData in DER (RFC 2315, version 1) over the object's bytes, one
// signer named by issuer and serial number, SHA-256, rsaEncryption with PKCS#1
// v1.5 padding, no certificates, no authenticated attributes. It is
// deterministic. The kernel's verify_pkcs7_signature accepts it, as does
// "openssl cms -verify -binary -inform DER". [VerifyObject] accepts just that
// profile, with or without embedded certificates (which it does not look at), in
// at most [MaxSignature] bytes.
//
// # Identity
//
// An [Identity] is what one machine needs to trust one publisher, a JSON file of
// at most [MaxIdentity] bytes, by convention PUBLISHER.trust:
//
//	schema              1
//	publisher           a name: lower-case letters, digits, '-', '_' and '.'
//	names               patterns over package names, as in path.Match
//	keys                public keys, each {"pem": …, "notAfter": RFC 3339 time,
//	                    optional}
//	keyless             {"trustedRoot": sigstore's trusted_root.json, "identities":
//	                    [{"issuer", "subject"}]}: certificates that count as keys,
//	                    optional; '*' in a subject stands for any text, and all who
//	                    match one identity count as one
//	threshold           how many different keys must have signed; 0 means 1
//	provenance          {"builders", "sources", "keys"}: which provenance a package
//	                    must have besides, optional; builders are patterns over
//	                    the builder's id, sources over the source's URI (none: any),
//	                    keys sign it in the place of the identity's signers
//	kernelCertificates  certificates in PEM that the kernel may be given
//	indexRoot           TUF root.json of the publisher's index, optional
//	revoked             {"keys": […], "digests": […], "versions": […]}: key
//	                    identifiers, digests of OCI manifests or objects, and
//	                    versions as "name@version" that this identity no longer
//	                    vouches for
//
// Unknown fields are refused: a field that restricts trust must not be skipped
// by a reader that does not know it.
//
// # Policy
//
// A [Policy] is a folder with one PUBLISHER.trust file per identity and an optional
// revoked.json of the form of an identity's revoked field, which holds for every
// identity. An empty folder trusts no one, a file that does not parse makes the
// policy fail to open. A package is trusted if one identity whose names match has
// enough signatures by its keys over exactly this name, version and digest, none
// of it revoked, and the provenance it requires, about this digest and this object. Bundles that do not count, however malformed and however many,
// never make a package untrusted that is trusted without them.
package signing
