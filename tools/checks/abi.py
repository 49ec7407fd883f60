#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the layout of bpf/include/sockmesh_abi.h and of its part sockmesh_abi_state.h is asserted whole: the
size of every struct and union, and the offset of every field except padding. Prints each struct or field without an
assertion and exits with 1, or prints the counts.

`abi.py --write` writes the assertions anew, as the compiler lays the structs out. Run it after a change of a header.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADER = ROOT / "bpf/include/sockmesh_abi.h"
PART = "sockmesh_abi_state.h"
LAYOUT = ROOT / "bpf/include/sockmesh_abi_layout.h"


def without_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)


def body(text, start):
    """The text between the brace at `start` and its closing brace, and the end of that text."""
    depth = 0
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[start + 1:at], at + 1
    raise ValueError("a brace is not closed")


def fields(text, prefix=""):
    """The names of a struct's fields. A field of a nested struct is outer.inner."""
    at, found = 0, []
    declaration = re.compile(r"\s*([^;{]*?)(\{|;)", re.S)
    while match := declaration.match(text, at):
        if match[2] == "{":
            inner, after = body(text, match.end() - 1)
            end = text.index(";", after)
            name = text[after:end].strip()
            found += fields(inner, prefix + name + "." if name else prefix)
            at = end + 1
            continue
        # A trailing array without a length takes no room.
        names = match[1].split(",")
        for name in names:
            last = re.search(r"(\w+)\s*((?:\[[^\]]*\])*)\s*$", name)
            if last and last[2].replace(" ", "") != "[0]" and not re.fullmatch(r"pad\d*", last[1]):
                found.append(prefix + last[1])
        at = match.end()
    return found


def structs():
    """{"struct sm_x": [field, ...]}, in the order in which the compiler meets the structs."""
    whole = HEADER.read_text().replace(f'#include "{PART}"', (HEADER.parent / PART).read_text())
    text = without_comments(whole)
    return {
        f"{m[1]} {m[2]}": fields(body(text, m.end() - 1)[0])
        for m in re.finditer(r"^(struct|union) (sm_\w+) \{", text, re.M)
    }


def write():
    found = structs()
    lines = []
    for name, names in found.items():
        lines.append(f'printf("SM_ASSERT_SIZE({name}, %zu);\\n", sizeof({name}));')
        lines += [f'printf("SM_ASSERT_AT({name}, {field}, %zu);\\n", __builtin_offsetof({name}, {field}));'
                  for field in names]
    program = ('#include <stdio.h>\n#include "sockmesh_abi.h"\nint main(void) {\n' + "\n".join(lines) +
               "\nreturn 0;}\n")
    binary = ROOT / "build/abi_layout"
    binary.parent.mkdir(exist_ok=True)
    subprocess.run(["gcc", "-DSM_NO_LAYOUT", f"-I{HEADER.parent}", "-x", "c", "-", "-o", binary], input=program,
                   text=True, check=True)
    text = LAYOUT.read_text()
    start = text.index("SM_ASSERT_SIZE(struct") if "\nSM_ASSERT_SIZE" in text else text.index("#endif /* SOCK")
    asserts = subprocess.run([binary], capture_output=True, text=True, check=True).stdout
    LAYOUT.write_text(text[:start] + asserts + "\n#endif /* SOCKMESH_ABI_LAYOUT_H */\n")


def check():
    text = LAYOUT.read_text()
    sizes = set(re.findall(r"SM_ASSERT_SIZE\(((?:struct|union) \w+), ", text))
    offsets = set(re.findall(r"SM_ASSERT_AT\(((?:struct|union) \w+), ([\w.]+), ", text))
    found = structs()
    missing = [f"no SM_ASSERT_SIZE for {name}" for name in found if name not in sizes]
    missing += [f"no SM_ASSERT_AT for {name}, {field}" for name, names in found.items() for field in names
                if (name, field) not in offsets]
    for line in missing:
        print(f"{LAYOUT.relative_to(ROOT)}: {line}")
    if not missing:
        print(f"abi: {len(found)} structs, {sum(map(len, found.values()))} fields, all asserted")
    return 1 if missing else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    sys.exit(check())
