#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes an OCI image archive of what rootfs.py assembled, without docker, podman or buildah.

    oci.py --from build/image --out build/image/sockmesh.tar --name sockmesh:V --version V --revision R --created S

`docker load`, `podman load`, `ctr images import` and `skopeo copy oci-archive:FILE ...` read the archive. The same
input gives the same bytes: the times are fixed, the names are sorted, every file belongs to uid 0.
"""
import argparse
import datetime
import gzip
import hashlib
import io
import json
import pathlib
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
OCI = "application/vnd.oci.image."


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def add(archive, name, data):
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o644
    archive.addfile(entry, io.BytesIO(data))


def layer(root):
    """A layer's tar of all that is under `root`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(root.rglob("*")):
            entry = archive.gettarinfo(path, path.relative_to(root).as_posix())
            entry.mtime = entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            if entry.isreg():
                archive.addfile(entry, io.BytesIO(path.read_bytes()))
            else:
                archive.addfile(entry)
    return out.getvalue()


def labels(options, created):
    return {
        "org.opencontainers.image.title": "sockmesh",
        "org.opencontainers.image.description": "sidecarless service mesh node agent: connect() is the load balancer",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": options.version,
        "org.opencontainers.image.revision": options.revision,
        "org.opencontainers.image.created": created,
        "org.opencontainers.image.base.name": "debian:bookworm",
    }


def config(options, layers):
    created = datetime.datetime.fromtimestamp(options.created, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps({
        "created": created, "architecture": ARCHITECTURES[options.machine], "os": "linux",
        "config": {
            "Entrypoint": [options.entrypoint], "WorkingDir": "/",
            "Env": ["PATH=/usr/local/bin"], "Labels": labels(options, created),
        },
        "rootfs": {"type": "layers", "diff_ids": [digest(data) for _, data in layers]},
        "history": [{"created": created, "created_by": f"tools/image/rootfs.py: {name}"} for name, _ in layers],
    }, indent=1).encode()


def write(options):
    layers = [(name, layer(options.source / name)) for name in options.layers]
    blobs = {}

    def descriptor(kind, data, **more):
        blobs[digest(data)] = data
        return {"mediaType": OCI + kind, "digest": digest(data), "size": len(data), **more}

    config_blob = descriptor("config.v1+json", config(options, layers))
    packed = [descriptor("layer.v1.tar+gzip", gzip.compress(data, 6, mtime=0)) for _, data in layers]
    manifest = json.dumps({"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": config_blob,
                           "layers": packed}, indent=1).encode()
    names = {"io.containerd.image.name": options.name,
             "org.opencontainers.image.ref.name": options.name.rpartition(":")[2]}
    index = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": [descriptor(
        "manifest.v1+json", manifest, annotations=names,
        platform={"architecture": ARCHITECTURES[options.machine], "os": "linux"})]}
    # For versions of docker that read only their own form of an archive.
    blob = "blobs/sha256/{}".format
    docker = [{"Config": blob(config_blob["digest"][7:]), "RepoTags": [options.name],
               "Layers": [blob(one["digest"][7:]) for one in packed]}]
    with tarfile.open(options.out, "w") as archive:
        add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        for name, data in sorted(blobs.items()):
            add(archive, blob(name[7:]), data)
        add(archive, "index.json", json.dumps(index, indent=1).encode())
        add(archive, "manifest.json", json.dumps(docker, indent=1).encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=pathlib.Path, required=True, help="what rootfs.py made")
    parser.add_argument("--layers", nargs="+", default=["debian", "sockmesh"], help="folders below, the lowest first")
    parser.add_argument("--entrypoint", default="/usr/local/bin/sockmeshd")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the archive")
    parser.add_argument("--name", required=True, help="REPOSITORY:TAG")
    parser.add_argument("--machine", choices=ARCHITECTURES, default="x86_64", help="as `uname -m` says it")
    parser.add_argument("--version", required=True)
    parser.add_argument("--revision", required=True, help="the commit")
    parser.add_argument("--created", type=int, required=True, help="Unix time, of the commit")
    write(parser.parse_args())


if __name__ == "__main__":
    main()
