# SPDX-License-Identifier: Apache-2.0
.PHONY: check format
check: deps  ## format, include rules, documented fields, ABI, BPF stack and lint
	$(Q)tools/checks/format.sh
	$(Q)tools/checks/include-rules.py
	$(Q)tools/checks/fields.py
	$(Q)tools/checks/docs.py
	$(Q)tools/checks/chart.py
	$(Q)tools/checks/spdx.py --check
	$(Q)tools/checks/abi.sh $(CLANG) $(MULTIARCH)
	$(Q)$(MAKE) --no-print-directory $(SKELETON)
	$(Q)tools/checks/stack.py $(BPF_COMPILED)
	$(Q)tools/checks/tidy.sh $(JOBS) -std=c++20 $(CPPFLAGS) -DSOCKMESH_VERSION=\"\"
	@echo "check: ok"

format:  ## rewrite all sources in the project's format
	$(Q)tools/checks/format.sh --fix
