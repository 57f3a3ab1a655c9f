# SPDX-License-Identifier: Apache-2.0
#
# make demo     the whole road once, from source to memcached traffic in a stock kernel
# make test     everything that CI runs
# make torture  everything wrong in every context, over the stock kernels, into build/torture.json and docs/torture.md
# make bench    all measurements, into build/bench.json and docs/evaluation.md
# make build    bin/iupkg and lib/iupkg, what it needs at run time
# make lint     formatting, vet, licences, no machine's own names
# make gen      make generated files again and fail if one has changed
# make oracle   a million random problems of the resolver against brute force
# make crash    kill -9 at every system call of every transaction, and the power cut in many ways; an hour or more
# make cycles   1,000 upgrades and rollbacks under packet load in a machine; the canary
# make kernel-hook  the hook for new kernels, run by apt-get in a Debian of its own
# make fuzz     each fuzzer for FUZZTIME, that of bmc for BMC_FUZZ packets (10,000,000)
# make miri     the crate's tests under Miri, which Debian does not have: needs rustup with a nightly toolchain
# make clean    removes what was built here, not the cache
#
# All of these first run scripts/bootstrap, which installs what is missing and is quick when nothing is. What does not
# depend on this tree (kernels, a Go toolchain, core for the kernel target) is kept in $XDG_CACHE_HOME/iupkg.

# Always through a shell, which looks commands up in the PATH set here and not in make's own.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory -j$(shell nproc)
.DELETE_ON_ERROR:

export XDG_CACHE_HOME ?= $(HOME)/.cache
CACHE := $(XDG_CACHE_HOME)/iupkg
# The Go that bootstrap fetched, if the machine had none that is new enough.
export PATH := $(CACHE)/go/current/bin:$(PATH)
# The tree may belong to another user; the version comes from git describe below.
export GOFLAGS := $(filter-out -buildvcs%,$(GOFLAGS)) -buildvcs=false
# rustup's proxies would otherwise come first on some machines; the compiler must be the one of the plugin's LLVM.
export RUSTC := /usr/bin/rustc
export RUSTDOC := /usr/bin/rustdoc

KERNELS ?= 6.12 6.1
FUZZTIME ?= 30s
ORACLE_CASES ?= 1000000

LIB := lib/iupkg
find = $(shell find $(1) \( -name target -o -name .git -o -name node_modules \) -prune -o -type f $(2) -print 2>/dev/null)
# All that may be compiled or embedded.
GO_FILES := go.mod go.sum $(filter-out kernel/module/% kernel/vm/%,$(call find,\
	cmd index install kernel manifest registry resolve signing toolchain,-not -name '*_test.go' -not -path '*/testdata/*')) \
	$(call find,kernel/vm,-name '*.go' -not -name '*_test.go')
AGENT_FILES := go.mod $(call find,kernel/vm/agent kernel/vm/wire,-name '*.go')

.PHONY: build demo bench torture test lint gen fuzz miri oracle crash cycles kernel-hook clean bootstrap plugin runtime sysroot FORCE

build: bin/iupkg $(LIB)/vm-agent $(LIB)/crate/.made $(LIB)/module/.made $(LIB)/profiles/.made plugin runtime sysroot

bootstrap:
	@KERNELS='$(KERNELS)' scripts/bootstrap

# Changes when the version does, so that what has it inside is made again.
build/version: FORCE | bootstrap
	@mkdir -p build
	@{ git describe --tags --always --dirty --abbrev=12 2>/dev/null || echo unknown; } >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

bin/iupkg: $(GO_FILES) build/version | bootstrap
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$$(cat build/version)" -o $@ ./cmd/iupkg

# The same with storage in S3, which would take bin/iupkg beyond its 40 MB.
bin/iupkg-s3: $(GO_FILES) build/version | bootstrap
	CGO_ENABLED=0 go build -tags s3 -trimpath -ldflags "-s -w -X main.version=$$(cat build/version)" -o $@ ./cmd/iupkg

# The init of virtual machines: static, and small as it is loaded at every boot.
$(LIB)/vm-agent: $(AGENT_FILES) | bootstrap
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o $@ ./kernel/vm/agent

build/vmrun: $(call find,kernel/vm,-name '*.go' -not -name '*_test.go') go.mod | bootstrap
	CGO_ENABLED=0 go build -o $@ ./kernel/vm/vmrun

plugin: | bootstrap
	@$(MAKE) -s -C llvm OUT=$(abspath $(LIB)/llvm) OBJ=$(abspath build/llvm)

# build.sh does nothing for a kernel whose module is up to date. Its make is no part of this one's jobs.
runtime: build/vmrun | bootstrap
	@build/vmrun -fetch $(KERNELS) | while read -r release dir; do \
		MAKEFLAGS=-j$$(nproc) kernel/module/build.sh "$$release" "/usr/src/linux-headers-$$release" "$$dir/boot/vmlinuz-$$release" \
			"$(LIB)/runtime/$$release"; \
	done

# Kernels that are known where an extension is built: a type that none of them has is misspelt.
$(LIB)/profiles/.made: $(wildcard kernel/testdata/profiles/*.json)
	rm -rf $(@D) && mkdir -p $(@D)
	cp kernel/testdata/profiles/debian-6.1.json kernel/testdata/profiles/debian-6.12.json $(@D)/
	touch $@

# Copies of sources that `iupkg build` and `iupkg setup` use.
$(LIB)/crate/.made: $(call find,runtime-crate)
	rm -rf $(@D) && mkdir -p $(@D)
	tar -C runtime-crate --exclude=target -cf - . | tar -C $(@D) -xf -
	touch $@

$(LIB)/module/.made: $(call find,kernel/module,-path 'kernel/module/*.[chS]' -o -name Kbuild -o -name build.sh)
	rm -rf $(@D) && mkdir -p $(@D)
	cp kernel/module/{Kbuild,build.sh,*.[chS]} $(@D)/
	touch $@

build/mksysroot: $(call find,toolchain scripts/mksysroot,-not -name '*_test.go') | bootstrap
	CGO_ENABLED=0 go build -o $@ ./scripts/mksysroot

# core for the kernel target; in the cache by the content of compiler, flags and source.
sysroot: build/mksysroot
	@build/mksysroot >/dev/null

demo: build
	. scripts/env; go run ./internal/demo

bench: build
	go run ./bench -kernels '$(KERNELS)'

# A quarter of the runs on each of four kernels comes to all that is asked for. SCALE=0.01 for a hundredth, which leaves docs/torture.md alone.
torture: KERNELS = 6.12 6.12-cloud 6.12-rt 6.1
torture: build
	go run ./internal/torture -kernels '$(KERNELS)' -scale $(or $(SCALE),0.25) $(if $(SCALE),,-doc docs/torture.md)

test: build
	@scripts/test

lint: | bootstrap
	@scripts/lint

gen: | bootstrap
	@mkdir -p build
	@git ls-files -z | xargs -0 sha256sum >build/before-gen 2>/dev/null || true
	. scripts/env; MAKEFLAGS=B go generate ./... # all of it, whatever the times of the files say
	@sha256sum --quiet -c build/before-gen || { echo 'gen: error: these files are not what their generator makes' >&2; exit 1; }

crash: export IUPKG_CRASH = all
crash: export IUPKG_CRASH_WAYS = 40
crash: export IUPKG_LONG = 1
crash: build
	. scripts/env; go test -v -count=1 -timeout 3h ./install -run 'TestKill|TestPowerCut|TestDiskFull'
	. scripts/env; go test -v -count=1 -timeout 3h ./internal/vmtest -run TestKillInMachine

cycles: export IUPKG_CYCLES = 1000
cycles: export IUPKG_LONG = 1
cycles: build
	. scripts/env; go test -v -count=1 -timeout 3h ./internal/vmtest -run 'TestCycles|TestCanary'

kernel-hook: build
	. scripts/env; dir=$$(mktemp -d /var/tmp/iupkg-debian-XXXXXX); trap 'rm -rf --one-file-system "$$dir"' EXIT; \
		IUPKG_KERNEL_HOOK=$$dir go test -v -count=1 -timeout 1h ./cmd/iupkg -run TestKernelHook

fuzz: plugin | bootstrap
	@scripts/fuzz $(FUZZTIME)

oracle: | bootstrap
	go test ./resolve -run Oracle -v -timeout 2h -args -oracle-cases $(ORACLE_CASES)
# net has no unsafe code, and the tests that build or compile something else are no use here.
miri:
	cd runtime-crate/iu && env -u RUSTC -u RUSTDOC -u MAKEFLAGS -u MFLAGS PATH="$$HOME/.cargo/bin:$$PATH" MIRIFLAGS='$(MIRIFLAGS)' \
		cargo +nightly miri test --locked --test host --test interleave
	cd runtime-crate/samples/xdp_maps && env -u RUSTC -u RUSTDOC -u MAKEFLAGS -u MFLAGS PATH="$$HOME/.cargo/bin:$$PATH" MIRIFLAGS='$(MIRIFLAGS)' \
		cargo +nightly miri test --locked
MIRIFLAGS := -Zmiri-disable-isolation -Zmiri-permissive-provenance

clean:
	rm -rf bin lib build
