#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy over the rooms that do not see generated code, where a file takes seconds and not
# minutes. usage: tidy.sh JOBS COMPILER_FLAGS...
set -uo pipefail
cd "$(dirname "$0")/../.."
jobs=$1
shift
git ls-files 'agent/base/*.cpp' 'agent/model/*.cpp' 'agent/lb/*.cpp' 'agent/maps/*.cpp' \
  'agent/datapath/*.cpp' 'agent/writer/*.cpp' 'agent/inspect/*.cpp' 'agent/health/*.cpp' 'agent/ejection/*.cpp' 'agent/admin/*.cpp' \
  'agent/served/*.cpp' |
  xargs -P "$jobs" -n 4 sh -c 'flags=$1; shift; clang-tidy --quiet "$@" -- $flags 2>/dev/null' _ "$*"
