#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is the image what it promises to be? Unpacks the archive as a container runtime does and looks at it.

    image_test.py build/image

Root runs the programs in it (chroot); another user checks the files only."""
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ("sockmeshd", "sockmeshctl", "sockmesh-xds")
# What an attacker who got into the container would look for.
UNWANTED = re.compile(r"/(ba|da|z|k)?sh$|/busybox|/(ld|cc|(apt|dpkg|python|perl|gcc|curl|wget)[\w.-]*)$")
IMAGE = None


def unpack(archive, target):
    """The image's config, and its files under `target`."""
    blob = lambda one: archive.extractfile("blobs/sha256/" + one["digest"][7:]).read()
    index = json.load(archive.extractfile("index.json"))
    manifest = json.loads(blob(index["manifests"][0]))
    for layer in manifest["layers"]:
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob(layer)))) as files:
            files.extractall(target, **({"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}))
    return index, manifest, json.loads(blob(manifest["config"]))


class Image(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="sockmesh-image-")
        cls.root = pathlib.Path(cls.folder.name)
        with tarfile.open(IMAGE / "sockmesh.tar") as archive:
            cls.index, cls.manifest, cls.config = unpack(archive, cls.root)
        cls.files = sorted(path for path in cls.root.rglob("*") if path.is_file() and not path.is_symlink())
        cls.sbom = json.loads((cls.root / "usr/share/sbom/sockmesh.spdx.json").read_text())

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def inside(self, path):
        return "/" + path.relative_to(self.root).as_posix()

    def test_blobs_have_the_digests_that_name_them(self):
        with tarfile.open(IMAGE / "sockmesh.tar") as archive:
            for entry in archive.getmembers():
                if entry.name.startswith("blobs/"):
                    data = archive.extractfile(entry).read()
                    self.assertEqual(hashlib.sha256(data).hexdigest(), entry.name.rpartition("/")[2])

    def test_layers_have_the_digests_of_the_config(self):
        with tarfile.open(IMAGE / "sockmesh.tar") as archive:
            for layer, wanted in zip(self.manifest["layers"], self.config["rootfs"]["diff_ids"], strict=True):
                data = archive.extractfile("blobs/sha256/" + layer["digest"][7:]).read()
                self.assertEqual("sha256:" + hashlib.sha256(gzip.decompress(data)).hexdigest(), wanted)

    def test_docker_finds_the_same_layers(self):
        with tarfile.open(IMAGE / "sockmesh.tar") as archive:
            docker = json.load(archive.extractfile("manifest.json"))[0]
        self.assertEqual([one.rpartition("/")[2] for one in docker["Layers"]],
                         [one["digest"][7:] for one in self.manifest["layers"]])

    def test_labels_say_version_commit_and_licence(self):
        labels = self.config["config"]["Labels"]
        for name in ("title", "description", "licenses", "version", "revision", "created"):
            self.assertTrue(labels.get("org.opencontainers.image." + name), name)

    @unittest.skipIf(os.geteuid() != 0, "chroot is for root")
    def test_the_programs_run_with_nothing_but_the_image(self):
        version = self.config["config"]["Labels"]["org.opencontainers.image.version"]
        for program in PROGRAMS:
            said = subprocess.run(["chroot", self.root, "/usr/local/bin/" + program, "--version"],
                                  capture_output=True, text=True, check=False)
            self.assertEqual((said.returncode, said.stdout), (0, f"{program} {version}\n"), said.stderr)

    def test_there_is_no_shell_and_no_tool(self):
        self.assertEqual([], [self.inside(one) for one in self.files if UNWANTED.search(self.inside(one))])

    def test_only_the_programs_and_libraries_can_be_executed(self):
        for one in self.files:
            if one.stat().st_mode & 0o111:
                self.assertRegex(self.inside(one), r"^/usr/local/bin/sockmesh|^/usr/lib\w*/.*\.so[.\d]*$")

    def test_nothing_is_setuid_or_writable_for_others(self):
        for one in self.root.rglob("*"):
            if not one.is_symlink() and self.inside(one) != "/tmp":
                self.assertEqual(one.stat().st_mode & 0o6002, 0, one)

    def test_files_belong_to_root_at_a_fixed_time(self):
        with tarfile.open(IMAGE / "sockmesh.tar") as archive:
            for layer in self.manifest["layers"]:
                data = archive.extractfile("blobs/sha256/" + layer["digest"][7:]).read()
                with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as files:
                    for entry in files.getmembers():
                        self.assertEqual((entry.uid, entry.gid, entry.mtime), (0, 0, 0), entry.name)

    def test_the_list_of_packages_names_every_library_with_its_content(self):
        listed = {one["fileName"][1:]: one["checksums"][1]["checksumValue"] for one in self.sbom["files"]}
        mapped = {self.inside(one): hashlib.sha256(one.read_bytes()).hexdigest() for one in self.files
                  if one.stat().st_mode & 0o111}
        self.assertEqual(mapped, listed)

    def test_each_listed_package_is_here_with_version_and_copyright(self):
        for one in self.sbom["packages"]:
            if one["name"] == "sockmesh":
                continue
            status = (self.root / "var/lib/dpkg/status.d" / one["name"]).read_text()
            self.assertIn(f"\nVersion: {one['versionInfo']}\n", status)
            self.assertTrue((self.root / "usr/share/doc" / one["name"] / "copyright").stat().st_size)

    def test_the_list_of_packages_is_whole(self):
        ids = [one["SPDXID"] for one in self.sbom["packages"] + self.sbom["files"]]
        self.assertEqual(len(ids), len(set(ids)))
        for relation in self.sbom["relationships"]:
            for end in ("spdxElementId", "relatedSpdxElement"):
                self.assertIn(relation[end], ids + ["SPDXRef-DOCUMENT"])

    def test_root_certificates_are_those_of_debian(self):
        text = (self.root / "etc/ssl/certs/ca-certificates.crt").read_text()
        self.assertGreater(text.count("BEGIN CERTIFICATE"), 100)

    def test_the_same_input_gives_the_same_bytes(self):
        labels = self.config["config"]["Labels"]
        name = self.index["manifests"][0]["annotations"]["io.containerd.image.name"]
        created = json.loads((IMAGE / "sockmesh.spdx.json").read_text())["creationInfo"]["created"]
        seconds = subprocess.run(["date", "-u", "-d", created, "+%s"], capture_output=True, text=True, check=True).stdout
        again = self.root / "again"
        common = ["--out", str(again), "--version", labels["org.opencontainers.image.version"],
                  "--created", seconds.strip()]
        subprocess.run([ROOT / "tools/image/rootfs.py", "--bin", IMAGE.parent / "bin", *common], check=True)
        common[1] = str(again / "sockmesh.tar")
        subprocess.run([ROOT / "tools/image/oci.py", "--from", again, "--name", name, *common, "--machine",
                        os.uname().machine, "--revision", labels["org.opencontainers.image.revision"]], check=True)
        self.assertEqual((again / "sockmesh.tar").read_bytes(), (IMAGE / "sockmesh.tar").read_bytes())


if __name__ == "__main__":
    IMAGE = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(argv=sys.argv)
