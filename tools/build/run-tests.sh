#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs every test binary of a build, one after the other, and closes with one line:
# "N passed, N failed" (", N skipped"). Exits with 0 only if nothing failed. The fuzzers of the build run
# for FUZZ_SECONDS each (20; 0: not at all), with the inputs of FUZZ_SEED (1), and each counts as one test.
set -uo pipefail
build=${1:?usage: run-tests.sh BUILD_DIRECTORY}

if [ "$(id -u)" -ne 0 ]; then
  echo "The BPF and integration tests need root (CAP_BPF, CAP_NET_ADMIN, namespaces, cgroups)." >&2
  exit 1
fi

passed=0 failed=0 skipped=0
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

for binary in "$build"/tests/unit_* "$build"/tests/bpf_tests "$build"/tests/integration_tests; do
  [ -x "$binary" ] && [ -f "$binary" ] || continue
  name=$(basename "$binary")
  report="$results/$name.json"
  log="$results/$name.log"
  started=$SECONDS
  timeout 900 "$binary" --gtest_output="json:$report" >"$log" 2>&1
  status=$?
  counts=$(python3 - "$report" "$status" <<'PY'
import json, sys
try:
    report = json.load(open(sys.argv[1]))
    cases = [c for s in report["testsuites"] for c in s["testsuite"]]
    failed = [c for c in cases if c.get("failures")]
    skipped = [c for c in cases if c.get("result") == "SKIPPED" or c.get("skipped")]
    for c in skipped:
        why = (c.get("skipped") or [{}])[0].get("message", "").strip()
        print(f"SKIPPED {c['classname']}.{c['name']}: {why}", file=sys.stderr)
    bad = len(failed) + (1 if int(sys.argv[2]) not in (0, 1) else 0)
    print(len(cases) - len(failed) - len(skipped), bad, len(skipped))
except Exception as error:  # the binary died before it could report
    print(f"{sys.argv[1]}: no report ({error})", file=sys.stderr)
    print(0, 1, 0)
PY
)
  read -r good bad skips <<<"$counts"
  passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + skips))
  printf '%-24s %4d passed %3d failed %3d skipped  %3d s\n' "$name" "$good" "$bad" "$skips" \
    $((SECONDS - started))
  if [ "$bad" -gt 0 ]; then grep -vE '^\[ +(OK|RUN) |^\[---' "$log" | tail -n 200; fi
  grep -E '^(killed at|[0-9]+ selections|[0-9]+ connects)' "$log" | sed 's/^/  /'
done

fuzz_seconds=${FUZZ_SECONDS:-20}
if [ -d "$build/fuzz" ] && [ "$fuzz_seconds" -gt 0 ]; then
  SEED=${FUZZ_SEED:-1} COUNTS="$results/fuzz" tools/build/run-fuzz.sh "$build" "$fuzz_seconds"
  read -r good bad skips <"$results/fuzz"
  passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + skips))
fi

if [ "$skipped" -gt 0 ]; then
  echo "$passed passed, $failed failed, $skipped skipped"
else
  echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
