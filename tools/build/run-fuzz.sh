#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the fuzzers of a build for some seconds each, two at a time, and prints a line for each. An input
# that crashes, hangs or takes too much memory is kept under BUILD/fuzz/findings, and its path is printed
# with the command that runs it again. ONLY=NAME runs one; KEEP=1 keeps what a fuzzer learns in
# BUILD/fuzz/corpus for the next time; SEED=N makes the same inputs each time, and RUNS=N ends after so
# many. Exits with 0 only if nothing was found. COUNTS=FILE gets "PASSED FAILED SKIPPED".
set -uo pipefail
build=${1:?usage: run-fuzz.sh BUILD SECONDS}
seconds=${2:?usage: run-fuzz.sh BUILD SECONDS}
fuzz=$build/fuzz

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
findings=$fuzz/findings
mkdir -p "$findings"

# Where the input of a finding is, and the input itself, because a machine that tests may be gone tomorrow.
again() {
  local name=$1 found
  found=$(sed -n 's/.*Test unit written to //p' "$scratch/$name.log" | tail -n 1)
  sed -n 's/^INFO: Seed: /seed: /p' "$scratch/$name.log"
  [ -f "$found" ] || return 0
  printf 'input: %s\nagain: %s %s\n' "$found" "$fuzz/$name" "$found"
  if [ "$(stat -c %s "$found")" -le 20000 ]; then
    printf 'the input, for base64 -d | gunzip:\n'
    gzip -9 -n -c "$found" | base64
  fi
}

# An input may take 60 s and 1 GiB at a time, which no good one comes near, also on a busy machine.
run_one() {
  local name=$1 corpus=$scratch/$1 started=$SECONDS
  [ -z "${KEEP:-}" ] || corpus=$fuzz/corpus/$name
  mkdir -p "$corpus" "$scratch/tmp"
  if TMPDIR="$scratch/tmp" ASAN_OPTIONS=detect_container_overflow=0:allocator_may_return_null=1 \
    "$fuzz/$name" -max_total_time="$seconds" -seed="${SEED:-0}" -runs="${RUNS:--1}" \
    -timeout=60 -rss_limit_mb=2048 -malloc_limit_mb=1024 \
    -max_len=65536 -print_final_stats=1 -artifact_prefix="$findings/$name-" \
    "$corpus" "$fuzz/seeds/$name" >"$scratch/$name.log" 2>&1; then
    printf '1 0' >"$scratch/$name.counts"
    printf '%-24s    1 passed   0 failed   0 skipped  %3d s  %s inputs\n' "$name" $((SECONDS - started)) \
      "$(sed -n 's/^stat::number_of_executed_units: *//p' "$scratch/$name.log")"
  else
    printf '0 1' >"$scratch/$name.counts"
    printf '%-24s    0 passed   1 failed   0 skipped  %3d s\n' "$name" $((SECONDS - started))
    tail -n 100 "$scratch/$name.log"
    again "$name"
  fi
}
export -f run_one again
export scratch fuzz seconds findings

names=$(find "$fuzz" -maxdepth 1 -name '*_fuzz' -perm -u+x -printf '%f\n' | grep -E "^${ONLY:-.*}$" | sort)
xargs -r -P 2 -I{} bash -c 'run_one {}' <<<"$names"

passed=0 failed=0 skipped=0
for counts in "$scratch"/*.counts; do
  [ -f "$counts" ] || continue
  read -r good bad <"$counts"
  passed=$((passed + good)) failed=$((failed + bad))
done
if [ -z "$names" ]; then
  echo "SKIPPED fuzzers: none is built, because clang's libFuzzer is missing (Debian: libclang-rt-dev), or for SAN="
  skipped=1
fi
[ -z "${COUNTS:-}" ] || echo "$passed $failed $skipped" >"$COUNTS"
[ "$failed" -eq 0 ]
