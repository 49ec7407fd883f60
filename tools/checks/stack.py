#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that no chain of calls in the BPF programs needs more stack than Linux 6.1's verifier allows, which adds up the
frames of a whole chain, also of the callbacks of bpf_loop(), each rounded up to 32 bytes. Newer verifiers count less.

usage: stack.py OBJECT... ; prints each chain that is too large and exits with 1, or prints the largest one.
"""
import re
import subprocess
import sys

LIMIT = 512
FRAME = 32
CALLS = 8


class Function:
    def __init__(self):
        self.bytes = 0
        self.called = set()


def listing(path):
    return subprocess.run(["llvm-objdump", "-dr", "--no-show-raw-insn", path], capture_output=True, text=True,
                          check=True).stdout.splitlines()


def used(line, before):
    """How far below the frame pointer an instruction reaches."""
    found = [int(text, 0) for text in re.findall(r"r10 - (0x[0-9a-f]+|\d+)", line)]
    moved = re.match(r"\s*\d+:\s+(r\d+) \+= -(0x[0-9a-f]+|\d+)$", line)
    if moved and re.search(re.escape(moved[1]) + r" = r10", before):
        found.append(int(moved[2], 0))
    return max(found, default=0)


def target(relocation, before):
    """What a relocated instruction names: a function, or an offset in .text."""
    if relocation[2] != ".text":
        return relocation[2]
    callback = re.search(r"= (0x[0-9a-f]+|\d+) ll", before)
    if callback:
        return int(callback[1], 0)
    call = re.search(r"call (-?0x[0-9a-f]+|-?\d+)", before)
    return (int(call[1], 0) + 1) * 8 if call else None


def functions(path):
    """By name. Static functions are called by their place in .text."""
    found, at, section, name, before = {}, {}, "", None, ""
    for line in listing(path):
        if match := re.match(r"Disassembly of section (\S+):", line):
            section = match[1]
        elif match := re.match(r"([0-9a-f]+) <(\S+)>:", line):
            if match[2].startswith("LBB"):
                continue
            name = match[2]
            found[name] = Function()
            if section == ".text":
                at[int(match[1], 16)] = name
        elif name:
            found[name].bytes = max(found[name].bytes, used(line, before))
            if match := re.search(r"R_BPF_64_(?:32|64)()\s+([^\s+]+)", line):
                found[name].called.add(target(match, before))
            if line.strip():
                before = line
    for function in found.values():
        function.called = {at.get(one, one) for one in function.called} & found.keys()
    return found, set(found) - set(at.values())


def deepest(found, name, above=()):
    """The chain from this function on that needs most stack, and how much."""
    own = max(FRAME, -(-found[name].bytes // FRAME) * FRAME)
    best = (0, [])
    for called in sorted(found[name].called):
        if called != name and called not in above:
            best = max(best, deepest(found, called, above + (name,)))
    return own + best[0], [f"{name} {found[name].bytes}"] + best[1]


def longest(found, name):
    return 1 + max((longest(found, called) for called in found[name].called), default=0)


def main():
    largest, wrong = 0, False
    for path in sys.argv[1:]:
        found, programs = functions(path)
        for name in sorted(programs):
            size, chain = deepest(found, name)
            largest = max(largest, size)
            if size > LIMIT:
                print(f"{path}: {size} bytes of stack, {LIMIT} are allowed: {' > '.join(chain)}")
                wrong = True
            if longest(found, name) > CALLS:
                print(f"{path}: {name} calls more than {CALLS} frames deep")
                wrong = True
    if wrong:
        sys.exit(1)
    print(f"stack: {largest} bytes at most, {LIMIT} are allowed")


if __name__ == "__main__":
    main()
