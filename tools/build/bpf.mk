# SPDX-License-Identifier: Apache-2.0
# bpf/hooks/sockmesh.bpf.c -> one object -> $(GEN)/sockmesh.skel.h. The object is built for no
# particular kernel: bpf/include/kernel.h declares the few kernel structs that the programs read, and
# the loader relocates them (CO-RE).

# The folders of bpf/ that each folder may include; see MAY_X in rooms.mk. No file is in bpf/ itself.
MAY_bpf :=
MAY_bpf/include :=
MAY_bpf/envoy := bpf/include
MAY_bpf/conn := bpf/include
MAY_bpf/policy := bpf/envoy bpf/include
MAY_bpf/select := bpf/policy bpf/conn bpf/envoy bpf/include
MAY_bpf/hooks := bpf/select bpf/conn bpf/include

BPF_COMPILED := $(BUILD)/bpf/hooks/sockmesh.bpf.o
BPF_OBJECT := $(BUILD)/bpf/sockmesh.o
SKELETON := $(GEN)/sockmesh.skel.h
MULTIARCH := $(ARCH)-linux-gnu
BPF_CFLAGS := -target bpf -mcpu=v3 -g -O2 -D__TARGET_ARCH_$(BPF_ARCH) -Ibpf -Ibpf/include \
	-I/usr/include/$(MULTIARCH) -Wall -Wextra -Werror -Wno-unused-parameter

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

# Without what is for debuggers.
$(BPF_OBJECT): $(BPF_COMPILED)
	$(Q)$(BPFTOOL) gen object $@ $^

$(SKELETON): $(BPF_OBJECT)
	$(call say,SKEL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name sockmesh_bpf > $@

# Programs that only tests load. They include the same headers as the product's.
TEST_BPF_SOURCES := $(wildcard tests/bpf/*.bpf.c)
TEST_SKELETONS := $(TEST_BPF_SOURCES:tests/bpf/%.bpf.c=$(GEN)/tests/%.skel.h)

$(BUILD)/bpf/tests/%.bpf.o: tests/bpf/%.bpf.c
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -Itests/bpf -MMD -MP -MF $(@:.o=.d) -c -o $@ $<

$(GEN)/tests/%.skel.h: $(BUILD)/bpf/tests/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

-include $(BPF_COMPILED:.o=.d) $(patsubst tests/bpf/%.bpf.c,$(BUILD)/bpf/tests/%.bpf.d,$(TEST_BPF_SOURCES))
.PRECIOUS: $(BUILD)/bpf/%.bpf.o $(BUILD)/bpf/tests/%.bpf.o $(GEN)/tests/%.skel.h
