#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the image by the Dockerfile, with the first of docker, podman and buildah that works here.
# usage: build.sh NAME:TAG VERSION REVISION CREATED
set -euo pipefail
cd "$(dirname "$0")/../.."
name=$1 arguments=(--build-arg "VERSION=$2" --build-arg "REVISION=$3" --build-arg "CREATED=$4")

works() { command -v "$1" >/dev/null && "$1" info >/dev/null 2>&1; }
if works docker; then exec docker build "${arguments[@]}" -t "$name" .; fi
if works podman; then exec podman build "${arguments[@]}" -t "$name" .; fi
if works buildah; then exec buildah build "${arguments[@]}" -t "$name" .; fi
echo "Neither docker nor podman nor buildah works here. \`make image-tar\` needs none of them." >&2
exit 1
