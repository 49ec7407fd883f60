# SPDX-License-Identifier: Apache-2.0
"""The image's list of packages as an SPDX 2.3 document: sockmesh, its programs, the Debian packages whose files the
image holds, and which file is of which package."""
import datetime
import hashlib
import json
import re


def spdx_id(*words):
    return "SPDXRef-" + "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", word).strip("-") for word in words)


def debian_package(one):
    return {
        "SPDXID": spdx_id("Package", one.name), "name": one.name, "versionInfo": one.version,
        "supplier": "Person: " + re.sub(r"\s*<(.*)>", r" (\1)", one.maintainer),
        "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "comment": f"The licences are in /usr/share/doc/{one.name}/copyright of the image.",
        "sourceInfo": f"built from the Debian source package {one.source} {one.source_version}",
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
            "referenceLocator": f"pkg:deb/debian/{one.name}@{one.version}?arch={one.architecture}&distro=bookworm"}],
    }


def file_entry(path, data, licence):
    return {
        "SPDXID": spdx_id("File", path.strip("/")), "fileName": "." + path,
        "checksums": [{"algorithm": "SHA1", "checksumValue": hashlib.sha1(data).hexdigest()},
                      {"algorithm": "SHA256", "checksumValue": hashlib.sha256(data).hexdigest()}],
        "licenseConcluded": licence, "licenseInfoInFiles": [licence], "copyrightText": "NOASSERTION",
    }


def relation(one, kind, other):
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def document(out, files, owners, known, version, created):
    """`files`: {path in the image: the file on this machine}; `owners`: {file: package}; `known`: the packages."""
    own = spdx_id("Package", "sockmesh")
    packages = [{
        "SPDXID": own, "name": "sockmesh", "versionInfo": version, "supplier": "NOASSERTION",
        "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": "Apache-2.0",
        "licenseDeclared": "Apache-2.0", "copyrightText": "NOASSERTION", "primaryPackagePurpose": "CONTAINER",
    }] + [debian_package(one) for one in known]
    entries, relations = [], [relation("SPDXRef-DOCUMENT", "DESCRIBES", own)]
    relations += [relation(own, "DEPENDS_ON", spdx_id("Package", one.name)) for one in known]
    for program in sorted((out / "sockmesh/usr/local/bin").iterdir()):
        entries.append(file_entry(f"/usr/local/bin/{program.name}", program.read_bytes(), "Apache-2.0"))
        relations.append(relation(own, "CONTAINS", entries[-1]["SPDXID"]))
    for path, source in sorted(files.items()):
        entries.append(file_entry(path, source.read_bytes(), "NOASSERTION"))
        relations.append(relation(spdx_id("Package", owners[source]), "CONTAINS", entries[-1]["SPDXID"]))
    content = {"packages": packages, "files": entries, "relationships": relations}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    head = {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"sockmesh-{version}",
        "documentNamespace": f"https://spdx.org/spdxdocs/sockmesh-{version}-{digest[:32]}",
        "creationInfo": {
            "created": datetime.datetime.fromtimestamp(created, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Tool: sockmesh tools/image/sbom.py"]},
    }
    return json.dumps({**head, **content}, indent=1) + "\n"
