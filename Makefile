# SPDX-License-Identifier: Apache-2.0
# sockmesh. Output only under build/. `make help` lists the targets; V=1 shows the commands.
SHELL := /bin/bash
.DELETE_ON_ERROR:

MAKEFLAGS += --no-builtin-rules

SAN ?=
BUILD ?= build$(if $(SAN),/san-$(SAN))
CXX := g++
CLANG ?= clang
BPFTOOL ?= bpftool
PROTOC ?= protoc
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' $(1) $(2))

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
ARCH := $(shell uname -m)
BPF_ARCH := $(patsubst x86_64,x86,$(patsubst aarch64,arm64,$(ARCH)))

# -g1: backtraces with lines; full debug information doubles the time to build and link.
CXXFLAGS ?= -O2 -g1
SAN_FLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
# Under the thread sanitizer protobuf's headers give maps another layout than Debian's library has.
SAN_FLAGS += $(if $(findstring thread,$(SAN)),-U__SANITIZE_THREAD__)
WARN := -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Wimplicit-fallthrough
override CXXFLAGS += -std=c++20 $(WARN) $(SAN_FLAGS)
CPPFLAGS := -Iagent -Ibpf/include -isystem $(BUILD)/gen -DSPDLOG_COMPILED_LIB -DSPDLOG_FMT_EXTERNAL
# A program loads only the libraries that it uses.
LDFLAGS += -Wl,--as-needed $(SAN_FLAGS)

include tools/build/proto.mk
include tools/build/bpf.mk
include tools/build/rooms.mk
include tools/build/tests.mk
include tools/build/fuzz.mk
include tools/build/image.mk
include tools/build/checks.mk

.DEFAULT_GOAL := all
.PHONY: all help clean deps demo test check man
all: $(BINARIES)  ## build sockmeshd, sockmeshctl and sockmesh-xds

man: $(BUILD)/bin/sockmeshctl  ## the manual page, build/man/sockmeshctl.8
	$(Q)mkdir -p $(BUILD)/man
	$(Q)$< man > $(BUILD)/man/sockmeshctl.8

deps:  ## install the Debian packages that building and testing need
	$(Q)tools/build/install-deps.sh

JOBS ?= $(shell nproc)

demo: deps  ## the main job before your eyes, in under a minute (root)
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) all
	$(Q)tools/demo/demo.sh $(BUILD)

test: deps  ## unit, BPF and integration tests (root)
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) test-build
	$(Q)tools/build/run-tests.sh $(BUILD)

clean:  ## remove build/
	rm -rf build

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 18
