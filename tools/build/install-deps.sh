#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that building, testing and the demo need, and those given as
# arguments. Does nothing if all are installed already. Asks once on a terminal. SOCKMESH_YES=1 or no
# terminal means yes.
set -euo pipefail

packages=(
  make g++ clang llvm bpftool libbpf-dev libelf-dev zlib1g-dev linux-libc-dev
  protobuf-compiler protobuf-compiler-grpc libprotobuf-dev libgrpc++-dev libabsl-dev
  libspdlog-dev libfmt-dev libyaml-cpp-dev nlohmann-json3-dev libcli11-dev libxxhash-dev
  prometheus-cpp-dev libseccomp-dev libcurl4-openssl-dev libssl-dev libc-ares-dev
  libgtest-dev libgmock-dev
  libclang-rt-dev clang-format clang-tidy python3 curl iproute2 nftables procps openssl
  zsh fish
  "$@"
)

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "Debian packages to install: ${missing[*]}"
if [ "$(id -u)" -ne 0 ]; then
  echo "not root: install them yourself, or run this as root" >&2
  exit 1
fi
if [ -t 0 ] && [ -z "${SOCKMESH_YES:-}" ]; then
  read -r -p "Install them with apt-get? [Y/n] " answer || answer=no
  case "$answer" in
    [nN]*)
      echo "Nothing was installed; nothing can be built or run without them." >&2
      exit 1
      ;;
  esac
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# Debian's tools print much on stdout, also in quiet mode. Errors are on stderr.
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
