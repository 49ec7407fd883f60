#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Boots Debian's kernels under qemu's software emulation, without a disk or a network, and checks
# what the README promises: a kernel that is too old is refused with one line, and nothing is half
# attached; on other kernels the programs load and the tests pass. Prints a table. Exits with 0 only
# if every kernel did what was expected.
#
#   run.sh BUILD_DIRECTORY [SUITE...]     FILTER='Agent.*' chooses tests
#
# Kernels come from the Debian mirror that apt uses here. Without it, or on another machine than
# amd64, this says so and ends with 0: nothing was tested.
set -euo pipefail

build=$(realpath "${1:?usage: run.sh BUILD_DIRECTORY [SUITE...]}")
shift
here=$(realpath "$(dirname "$0")")
repository=$(realpath "$here/../../..")
work=$build/kernels
# Every test loads the programs, which takes 10 s or more here. These tests cover what a user would
# miss first. They need neither the kernel's modules nor iproute2.
chosen='Connect.*:Records.*:Inspect.Pages*:SourceHash.ABound*:SourceHash.Without*'
chosen+=':Agent.Balances*:Agent.EmptyRefuses*:Agent.NoConnectFails*:Agent.Sigterm*:Agent.MetricsCount*'
filter=${FILTER:-$chosen}

# Debian's suite, and what sockmeshd should do on its kernel.
kernels=(
  "bullseye refused" # 5.10: no bpf_set_retval()
  "bookworm works"   # 6.1
  "trixie works"     # 6.12
)

skip() {
  printf '\nSKIPPED: %s. No kernel was tested.\n' "$*" >&2
  exit 0
}

[ "$(uname -m)" = x86_64 ] || skip "kernels are booted on amd64 alone, this is $(uname -m)"
mirror=$(apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI)' |
  awk '$1 == "Debian" && $2 == "main" && $3 !~ /security/ { print $3; exit }')
[ -n "$mirror" ] || skip "apt knows no Debian mirror here (apt-get update?)"

# apt with an index of its own: the machine's stays as it is.
apt_in() { # apt_in SUITE COMMAND...
  local folder=$work/apt/$1
  mkdir -p "$folder/lists/partial" "$folder/archives/partial"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $1 main" \
    >"$folder/sources.list"
  "$2" -qq -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=- \
    -o Dir::State::Lists="$folder/lists" -o Dir::Cache::Archives="$folder/archives" \
    -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root \
    -o Acquire::Languages=none "${@:3}"
}

fetch() { # fetch SUITE: puts its kernel at $work/SUITE.vmlinuz, unless it is there
  local image=$work/$1.vmlinuz package deb
  [ ! -e "$image" ] || return 0
  apt_in "$1" apt-get update >&2 || return 1
  package=$(apt_in "$1" apt-cache depends linux-image-cloud-amd64 |
    sed -n 's/^ *Depends: //p' | head -n 1)
  [ -n "$package" ] || return 1
  (cd "$work" && rm -f -- linux-image-*.deb && apt_in "$1" apt-get download "$package" >&2) || return 1
  deb=$(echo "$work"/linux-image-*.deb)
  dpkg-deb --fsys-tarfile "$deb" | tar -xO --wildcards './boot/vmlinuz-*' >"$image.part"
  rm -f -- "$deb"
  mv "$image.part" "$image"
}

# One initial file system for all kernels: busybox, the product's binaries and tests, and their
# libraries.
make_initrd() {
  local root=$work/root file
  rm -rf "$root"
  mkdir -p "$root"/{bin,sbin,proc,sys,dev,tmp,build,tests/data}
  cp "$(command -v busybox)" "$root/bin/busybox"
  install -m 755 "$here/guest-init" "$root/init"
  mkdir -p "$root"/build/{bin,tests} "$root/usr/sbin"
  for file in bin/sockmeshd bin/sockmeshctl bin/sockmesh-xds tests/bpf_tests \
    tests/integration_tests; do
    strip -o "$root/build/$file" "$build/$file"
  done
  cp "$(command -v bpftool)" "$root/usr/sbin/bpftool"
  cp -r "$repository/tests/data/istiod" "$root/tests/data/"
  ldd "$root"/build/*/* "$root/usr/sbin/bpftool" | grep -o '/[^ ]*\.so[^ ]*' | sort -u |
    while read -r file; do
      mkdir -p "$root$(dirname "$file")"
      cp -L "$file" "$root$file"
    done
  (cd "$root" && find . | cpio --quiet -o -H newc >"$work/initrd")
  rm -rf "$root"
}

boot() { # boot SUITE EXPECTED: the console goes to $work/SUITE.log
  timeout 1800 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 2048 -nographic \
    -no-reboot -nic none -kernel "$work/$1.vmlinuz" -initrd "$work/initrd" \
    -append "console=ttyS0 quiet panic=-1 mitigations=off sockmesh.expect=$2 sockmesh.filter=$filter" \
    </dev/null >"$work/$1.console" 2>&1 || true
  tr -d '\r' <"$work/$1.console" >"$work/$1.log"
  rm -f "$work/$1.console"
}

said() { sed -n "s/^.*@@ //p" "$work/$1.log"; }

# What happened in a few words, and whether it is what was expected (the exit status).
verdict() { # verdict SUITE EXPECTED
  local all
  all=$(said "$1")
  if ! grep -qx done <<<"$all"; then
    echo "did not come to its end, see $work/$1.log"
    return 1
  fi
  if [ "$2" = refused ]; then
    sed -n 's/^says //p' <<<"$all" | tail -n 1
    sed -n 's/^\(exit\|pins\|programs\) /\1 /p' <<<"$all" | paste -sd, | sed 's/,/, /g'
    grep -qx 'says sockmeshd: this kernel (.*) is too old: .*' <<<"$all" && grep -qx 'exit 1' <<<"$all" &&
      grep -qx 'pins 0' <<<"$all" && grep -qx 'programs 0' <<<"$all"
  else
    grep -E '_tests (PASSED|FAILED|SKIPPED)' <<<"$all"
    ! grep -q '^exit [^0]' <<<"$all"
  fi
}

mkdir -p "$work"
wanted=" ${*:-} "
make_initrd
wrong=0 tested=0
table=$(mktemp)
trap 'rm -f "$table"' EXIT
for line in "${kernels[@]}"; do
  read -r suite expected <<<"$line"
  [ $# -eq 0 ] || [[ $wanted == *" $suite "* ]] || continue
  if ! fetch "$suite"; then
    echo "SKIPPED: $suite's kernel cannot be had from $mirror" >&2
    continue
  fi
  tested=$((tested + 1))
  echo "booting the kernel of $suite" >&2
  started=$SECONDS
  boot "$suite" "$expected"
  happened=$(verdict "$suite" "$expected") && result=ok || { result=WRONG; wrong=1; }
  kernel=$(said "$suite" | sed -n 's/^kernel //p')
  printf '%-26s %-9s %-6s %4d s  %s\n' "${kernel:-$suite}" "$expected" "$result" \
    $((SECONDS - started)) "$(head -n 1 <<<"$happened")" >>"$table"
  tail -n +2 <<<"$happened" | sed 's/^/                                                   /' >>"$table"
done
[ $tested -gt 0 ] || skip "no kernel can be had"
printf '\n%-26s %-9s %-6s %6s  %s\n' kernel expected "" time "what happened"
cat "$table"
exit $wrong
