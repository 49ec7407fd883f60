#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs clang-format over all sources: bpf/ and BPF test programs in the kernel's style, the rest in the
# project's style. `format.sh --fix` rewrites the files instead of complaining.
set -uo pipefail
cd "$(dirname "$0")/../.."
mode=(--dry-run -Werror)
[ "${1:-}" = --fix ] && mode=(-i)
mapfile -t kernel < <(git ls-files 'bpf/*.c' 'bpf/*.h' 'tests/bpf/*.bpf.c' 'tests/bpf/*_args.h')
mapfile -t ours < <(git ls-files 'agent/*.cpp' 'agent/*.h' 'tools/*.cpp' 'tools/*.h' 'tests/*.cpp' 'tests/*.h' |
  grep -v '_args\.h$')
status=0
clang-format "${mode[@]}" --style=file:bpf/.clang-format "${kernel[@]}" || status=1
clang-format "${mode[@]}" "${ours[@]}" || status=1
exit $status
