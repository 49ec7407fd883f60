# SPDX-License-Identifier: Apache-2.0
"""Every object of a stream of YAML documents against Kubernetes' published schemas. Prints each problem; exits 1 on
any. Runs in the environment of tools.validator(). usage: validate.py KUBERNETES_VERSION < objects.yaml"""
import sys

import kubernetes_validate
import yaml

# Objects of other people's APIs: their schemas are not Kubernetes'.
FOREIGN = ("monitoring.coreos.com/",)


def main():
    problems = 0
    for one in yaml.safe_load_all(sys.stdin):
        if not one or one["apiVersion"].startswith(FOREIGN):
            continue
        try:
            kubernetes_validate.validate(one, sys.argv[1], strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            print(f"{one['kind']} {one['metadata']['name']}: {error}")
            problems += 1
    return 1 if problems else 0


sys.exit(main())
