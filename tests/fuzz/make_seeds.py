#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the fuzzers' first inputs. usage: make_seeds.py ISTIOD_SAMPLES SEEDS OUT

OUT gets a folder for each fuzzer. The first byte of an input says what the others are; the lists below
follow the order of the readers in tests/fuzz/NAME_fuzz.cpp.
"""
import hashlib
import pathlib
import shutil
import sys

# resource_fuzz
DECODERS = {"envoy.config.cluster.v3.Cluster": 0, "envoy.config.endpoint.v3.ClusterLoadAssignment": 1,
            "envoy.config.listener.v3.Listener": 2, "envoy.config.route.v3.RouteConfiguration": 3,
            "istio.networking.nds.v1.NameTable": 4}
RESPONSE, DELTA, CACHE_BYTES, CACHE = 5, 6, 7, 8
# text_fuzz
CONFIG, YAML, JSON, CAPTURED, DOCUMENTS = range(5)
TEXT = {".config.yaml": CONFIG, ".yaml": YAML, ".json": JSON}
LARGEST = 60_000  # bytes of an input


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """Yields (number, bytes) of each length-delimited field of a serialized message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 2:
            length, at = varint(data, at)
            yield key >> 3, data[at:at + length]
            at += length
        elif key & 7 == 0:
            _, at = varint(data, at)
        else:
            at += {1: 8, 5: 4}[key & 7]


def field(number, data):
    out, size = bytearray([number << 3 | 2]), len(data)
    while size >= 0x80:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out) + data


def first(data, number):
    return next((value for n, value in fields(data) if n == number), b"")


class Out:
    def __init__(self, folder):
        self.folder, self.count = folder, 0
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def add(self, kind, data):
        if len(data) <= LARGEST:
            (self.folder / f"{self.count:04}").write_bytes(bytes([kind]) + data)
            self.count += 1


def resources(samples):
    """The resources (serialized Any) of the state-of-the-world captures, in the order of the types."""
    for path in sorted(samples.glob("*-sotw-*.pb")):
        yield from (value for number, value in fields(path.read_bytes()) if number == 2)


def cache(anys):
    """A sockmesh.cache.v1.Configuration that holds them."""
    out = field(2, b"view")
    for any_ in anys:
        resource = field(1, b"a") + field(2, b"v1") + field(3, first(any_, 2))
        out += field(3, field(1, first(any_, 1)) + field(2, resource))
    return out


def make_resources(samples, out):
    anys = list(resources(samples))
    for any_ in anys:
        kind = DECODERS.get(first(any_, 1).rsplit(b"/", 1)[-1].decode())
        if kind is not None:
            out.add(kind, first(any_, 2))
    small = [any_ for any_ in anys if len(any_) < 3000]
    for n in range(0, len(small), 7):  # some of every type, in one response
        mesh = b"".join(field(2, any_) for any_ in small[n::len(small) // 5 + 1])
        out.add(RESPONSE, mesh)
    out.add(CACHE, cache(small[::5]))
    out.add(CACHE_BYTES, b"SMCACHE\n\1" + bytes(23))
    for path in sorted(samples.glob("*.pb")):
        data = path.read_bytes()
        out.add(DELTA if "-delta-" in path.name else RESPONSE, data)


def make_text(samples, seeds, out):
    for path in sorted(seeds.iterdir()):
        kind = next(k for suffix, k in TEXT.items() if path.name.endswith(suffix))
        out.add(kind, path.read_bytes())
        out.add(DOCUMENTS, path.read_bytes())
    for path in sorted(samples.glob("*.pb")):
        out.add(CAPTURED, path.read_bytes())
    for path in sorted(samples.glob("*.yaml")):
        out.add(DOCUMENTS, path.read_bytes()[:LARGEST])


def make_scripts(out):
    """Control planes that do anything, always the same."""
    for n in range(48):
        out.add(n, hashlib.shake_128(bytes([n])).digest(20 + 12 * n))


def main():
    samples, seeds, out = map(pathlib.Path, sys.argv[1:4])
    make_resources(samples, Out(out / "resource_fuzz"))
    make_text(samples, seeds, Out(out / "text_fuzz"))
    make_scripts(Out(out / "client_fuzz"))


main()
