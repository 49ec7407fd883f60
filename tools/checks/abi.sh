#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks that the ABI header compiles as BPF C, C and C++, with every assertion of its layout. abi.py
# says which assertions are missing.
# usage: abi.sh CLANG MULTIARCH
set -euo pipefail
cd "$(dirname "$0")/../.."
include=(-Ibpf/include "-I/usr/include/$2")
echo "#include \"sockmesh_abi.h\"" | "$1" -target bpf "${include[@]}" -Wall -Werror -fsyntax-only -x c -
echo "#include \"sockmesh_abi.h\"" | gcc "${include[@]}" -Wall -Werror -fsyntax-only -x c -
echo "#include \"sockmesh_abi.h\"" | g++ -std=c++20 "${include[@]}" -Wall -Werror -fsyntax-only -x c++ -
tools/checks/abi.py
