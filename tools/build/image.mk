# SPDX-License-Identifier: Apache-2.0
# The container image, by the Dockerfile or without any builder (IMAGE=NAME:TAG names it), and the chart.
REVISION := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
CREATED ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
IMAGE ?= sockmesh:$(VERSION)
IMAGE_DIR := $(BUILD)/image
IMAGE_TAR := $(IMAGE_DIR)/sockmesh.tar

.PHONY: image image-files image-tar image-test
image:  ## the container image, with docker, podman or buildah; IMAGE=NAME:TAG
	$(Q)tools/image/build.sh '$(IMAGE)' '$(VERSION)' '$(REVISION)' '$(CREATED)'

image-files: $(BINARIES)
	$(call say,IMAGE,$(IMAGE_DIR))
	$(Q)tools/build/install-deps.sh ca-certificates binutils
	$(Q)tools/image/rootfs.py --bin $(BUILD)/bin --out $(IMAGE_DIR) --version '$(VERSION)' --created '$(CREATED)'

image-tar: image-files  ## the image as an OCI archive, build/image/sockmesh.tar, without any of them
	$(Q)tools/image/oci.py --from $(IMAGE_DIR) --out $(IMAGE_TAR) --name '$(IMAGE)' --machine '$(ARCH)' \
		--version '$(VERSION)' --revision '$(REVISION)' --created '$(CREATED)'
	@echo "$(IMAGE_TAR): $(IMAGE)"

image-test: image-tar  ## does the archive hold what it must, and nothing else? (root, for chroot)
	$(Q)python3 tests/image/image_test.py $(IMAGE_DIR)

# The image's files under runc, as the chart's pod; ONLY='Limits' runs some tests.
.PHONY: test-pod
test-pod: image-files  ## the image under runc, with exactly what the chart gives the pod (root, network)
	$(Q)python3 tests/pod/pod_test.py $(BUILD) $(ONLY)

# KUBECTL, HELM and IMAGE_LOAD replace commands: tests/e2e/k8s/cluster.py. ARGS='--values FILE'.
.PHONY: e2e-k8s
e2e-k8s: image-files  ## the chart on the cluster that KUBECONFIG names, with istiod (IMAGE_LOAD brings images there)
	$(Q)python3 tests/e2e/k8s/run.py --build $(BUILD) $(ARGS)

.PHONY: chart-test
chart-test: all  ## the chart: lint, schemas, bad values, alerts, dashboard against a real scrape (root, network)
	$(Q)python3 tests/chart/chart_test.py $(BUILD)/bin
