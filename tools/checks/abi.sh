#!/usr/bin/env bash
# The ABI header compiles, with every layout assertion, as BPF C, C and C++; a struct without an
# assertion of its size, or a map whose name no list knows, is an error.
# usage: abi.sh CLANG MULTIARCH
set -euo pipefail
cd "$(dirname "$0")/../.."
header=bpf/include/sockmesh_abi.h
include=(-Ibpf/include "-I/usr/include/$2")
echo "#include \"sockmesh_abi.h\"" | "$1" -target bpf "${include[@]}" -Wall -Werror -fsyntax-only -x c -
echo "#include \"sockmesh_abi.h\"" | gcc "${include[@]}" -Wall -Werror -fsyntax-only -x c -
echo "#include \"sockmesh_abi.h\"" | g++ -std=c++20 "${include[@]}" -Wall -Werror -fsyntax-only -x c++ -
status=0
for type in $(grep -oE '^(struct|union) sm_[a-z0-9_]+ \{' $header | awk '{ print $1 "_" $2 }'); do
  kind=${type%%_*} name=${type#*_}
  grep -q "SM_ASSERT_SIZE($kind $name, " $header || { echo "$header: no SM_ASSERT_SIZE for $kind $name"; status=1; }
done
exit $status
