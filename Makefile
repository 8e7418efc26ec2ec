# mascon: `make run` and `make test` are all a fresh machine needs; `make help` lists the rest.
#
# Everything made lands in $(BUILD). What the runtime and the kernels become is compiled once, position independent, and linked three
# ways: the program (with Lua inside), mascon.so (for `require "mascon"` from a stock lua5.4, without Lua inside), libmascon (for C).

BUILD  ?= build
PREFIX ?= /usr/local
ONLY   ?=
V      ?=

.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' $(1) $(2))

# ---- what this machine has ------------------------------------------------------------------------------------------------
PKG_CONFIG ?= pkg-config
OBJCOPY    ?= objcopy
pkg = $(shell $(PKG_CONFIG) $(1) 2>/dev/null)

LUA_PC       := $(firstword $(foreach n,lua5.4 lua-5.4 lua54 lua,$(if $(call pkg,--modversion $(n)),$(n))))
LUA_CFLAGS   ?= $(or $(call pkg,--cflags $(LUA_PC)),-I/usr/include/lua5.4)
LUA_ARCHIVE  := $(firstword $(wildcard $(addprefix $(call pkg,--variable=libdir $(LUA_PC))/,liblua5.4.a liblua-5.4.a liblua54.a)))
# The whole of Lua, so that C modules loaded by a script find every function of it.
lua_whole     = -Wl,--whole-archive $(1) -Wl,--no-whole-archive
LUA_LIBS     ?= $(if $(LUA_ARCHIVE),$(call lua_whole,$(LUA_ARCHIVE)),$(or $(call pkg,--libs $(LUA_PC)),-llua5.4))
EDIT_CFLAGS  ?= $(call pkg,--cflags libedit)
EDIT_LIBS    ?= $(or $(call pkg,--libs libedit),-ledit)
LIBS         ?= -ldnnl $(or $(call pkg,--libs jansson),-ljansson) -lz -ldl -lm

# ---- flags -------------------------------------------------------------------------------------------------------------------
WERROR ?= $(if $(filter true 1,$(CI)),1)
# The instrumented code makes gcc guess wrong about buffers and initialisation: with sanitizers those two are off, and none is an error.
WARN   := -Wall -Wextra -Wshadow $(if $(SAN),-Wno-format-truncation -Wno-maybe-uninitialized,$(if $(filter 1,$(WERROR)),-Werror))
SAN    ?=
OPT    := $(if $(SAN),-O1,-O2)
KOPT   := $(if $(SAN),-O1,-O3) -ffp-contract=fast -fno-math-errno -fno-trapping-math
comma  := ,
INSTR  := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
BASE   := -std=gnu11 -g $(WARN) -fopenmp -fPIC -fno-semantic-interposition $(INSTR) -Iruntime -I$(BUILD) $(CPPFLAGS)
DEPGEN  = -MMD -MP -MF $(@:.o=.d)
LINK    = $(CC) $(INSTR) $(LDFLAGS) -Wl,--as-needed

# One object per kernel file and instruction set; kernels/cpu/backend.c picks a set at start-up.
ARCH := $(shell uname -m)
ISAS := $(if $(filter x86_64,$(ARCH)),v2 v3 v4,v2)
isa_v2 := $(if $(filter x86_64,$(ARCH)),-march=x86-64-v2)
isa_v3 := -march=x86-64-v3
isa_v4 := -march=x86-64-v4 -mprefer-vector-width=512
CPU_ONCE := backend.c conv/onednn.c

# ---- sources -----------------------------------------------------------------------------------------------------------------
RUNTIME_SRC := $(wildcard runtime/*.c runtime/*/*.c)
CPU_SRC     := $(wildcard kernels/cpu/*.c kernels/cpu/*/*.c)
ISA_SRC     := $(filter-out $(addprefix kernels/cpu/,$(CPU_ONCE)),$(CPU_SRC))
ONCE_SRC    := $(filter-out $(ISA_SRC),$(CPU_SRC)) $(wildcard kernels/*.c kernels/trace/*.c)
BIND_SRC    := $(wildcard bindings/*.c)
PROGRAM_SRC := $(filter $(addprefix bindings/,main.c call.c prompt.c keys.c entry.c debugger.c bytecode.c sandbox.c),$(BIND_SRC))
MODULE_SRC  := $(filter-out $(PROGRAM_SRC),$(BIND_SRC))
TEST_SRC    := $(wildcard tests/c/test_*.c)
TEST_SHARED := $(filter-out $(TEST_SRC),$(wildcard tests/c/*.c))
SCRIPTS     := $(wildcard scripts/*.lua)

# EMBED_O and CODE_O, which hold scripts/mascon/*.lua as text and compiled, and how to make them.
include bindings/embed.mk

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
CORE_OBJ    := $(call obj,$(RUNTIME_SRC) $(ONCE_SRC)) $(foreach i,$(ISAS),$(patsubst %.c,$(BUILD)/%.$(i).o,$(ISA_SRC)))
MODULE_OBJ  := $(call obj,$(MODULE_SRC)) $(EMBED_O)
PROGRAM_OBJ := $(call obj,$(PROGRAM_SRC)) $(CODE_O)
TESTS       := $(patsubst tests/c/%.c,$(BUILD)/tests/%,$(TEST_SRC))

.PHONY: all help setup setup-test run build-tests test bench san gcstress soak lint deps size install clean FORCE

all: $(BUILD)/mascon $(BUILD)/mascon.so $(BUILD)/libmascon.a $(BUILD)/libmascon.so $(BUILD)/libmascon_cuda.so

help:
	@echo 'make            build $(BUILD)/mascon, mascon.so, libmascon.a, libmascon.so'
	@echo 'make run        install what is missing, build, run the first experiment (RUN_ARGS="$(RUN_ARGS)")'
	@echo 'make test       install what is missing, build, run every test; ONLY=name for those whose name has it'
	@echo 'make setup      install what is missing for building and running; setup-test: for the tests too'
	@echo 'make bench      measure (tests/bench)'
	@echo 'make san        every test under address and undefined-behaviour sanitizers, in $(BUILD)/san'
	@echo 'make gcstress   the Lua tests under a Lua that collects at every allocation, in $(BUILD)/gcstress'
	@echo 'make soak       what takes long (tests/soak): 20,000 random programs, eager against compiled; ONLY=name SEED=n PROGRAMS=n'
	@echo 'make lint       clang-format and luacheck'
	@echo 'make deps       fail on an include that points back'
	@echo 'make size       lines per folder'
	@echo 'make docs       the reference as HTML and as manual pages, and what editors read, in $(BUILD)/docs'
	@echo 'make deb        a Debian package; make dist: an archive that runs where it is unpacked'
	@echo 'make install    to PREFIX (now $(PREFIX)), under DESTDIR if given'
	@echo 'make clean      remove $(BUILD)'
	@echo
	@echo 'BUILD=dir  V=1 (show commands)  WERROR=1 (warnings fail)  SAN=1 (sanitizers)  CC=  LDFLAGS=  CPPFLAGS='

# ---- fresh machine ---------------------------------------------------------------------------------------------------------------
RUN_SCRIPT ?= scripts/mnist_autoencoder.lua
RUN_OUT    ?= runs/mnist_autoencoder
RUN_ARGS   ?= --out $(RUN_OUT)

setup:
	@sh .ci/setup

setup-test:
	@sh .ci/setup test

# A second make, because what the first one knew of the machine was looked up before setup installed anything.
run: setup
	@$(MAKE) --no-print-directory all
	$(BUILD)/mascon $(RUN_SCRIPT) $(RUN_ARGS)
	@echo; echo 'The figures are in $(RUN_OUT):'; ls $(RUN_OUT)/*.png

test: setup-test
	@$(MAKE) --no-print-directory build-tests
	@BUILD=$(BUILD) ONLY='$(ONLY)' tests/run.sh

build-tests: all $(TESTS) $(BUILD)/tests/failing.so $(BUILD)/tests/libmascon_lazy.so

bench: all
	@BUILD=$(BUILD) ONLY='$(ONLY)' tests/bench/run.sh

# ---- objects ------------------------------------------------------------------------------------------------------------------------
# These two files change only when the flags, or the set of sources, change; what was made with the old ones is made again.
FLAGS := $(CC) $(BASE) | $(OPT) | $(KOPT) | $(LUA_CFLAGS) $(EDIT_CFLAGS)
keep_if_same = @mkdir -p $(@D); printf '%s\n' '$(1)' | cmp -s - $@ || printf '%s\n' '$(1)' > $@
$(BUILD)/flags: FORCE
	$(call keep_if_same,$(FLAGS))
$(BUILD)/sources: FORCE
	$(call keep_if_same,$(CORE_OBJ) $(MODULE_OBJ) $(PROGRAM_OBJ) $(LUA_LIBS) $(LIBS) $(EDIT_LIBS) $(LDFLAGS))

$(BUILD)/runtime/%.o: runtime/%.c $(BUILD)/flags
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(OPT) $(DEPGEN) -c -o $@ $<

$(call obj,$(ONCE_SRC)): $(BUILD)/%.o: %.c $(BUILD)/flags
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(OPT) $(DEPGEN) -c -o $@ $<

define isa_rule
$(BUILD)/kernels/cpu/%.$(1).o: kernels/cpu/%.c $(BUILD)/flags
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$(Q)$(CC) $(BASE) $(KOPT) $(isa_$(1)) -DMS_ISA=$(1) $$(DEPGEN) -c -o $$@ $$<
endef
$(foreach i,$(ISAS),$(eval $(call isa_rule,$(i))))

$(BUILD)/bindings/%.o: bindings/%.c $(BUILD)/flags
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(OPT) $(LUA_CFLAGS) $(EDIT_CFLAGS) $(DEPGEN) -c -o $@ $<

# ---- products -----------------------------------------------------------------------------------------------------------------------
# -E: scripts may load C modules, which look for Lua's functions in the program.
$(BUILD)/mascon: $(PROGRAM_OBJ) $(MODULE_OBJ) $(CORE_OBJ) $(BUILD)/sources
	$(call say,LD,$@)
	$(Q)$(LINK) -Wl,-E -o $@ $(filter %.o,$^) $(LUA_LIBS) $(LIBS) $(EDIT_LIBS)

# Exports luaopen_mascon and nothing else, so that it gets along with whatever the host program has loaded. nodelete: its threads sleep in
# it when Lua closes it.
$(BUILD)/mascon.so: $(MODULE_OBJ) $(CORE_OBJ) $(BUILD)/sources
	$(call say,LD,$@)
	@printf '{ global: luaopen_mascon*; local: *; };\n' > $(BUILD)/mascon.map
	$(Q)$(LINK) -shared -Wl,-z,nodelete -Wl,--version-script=$(BUILD)/mascon.map -o $@ $(filter %.o,$^) $(LIBS)

$(BUILD)/libmascon.so: $(CORE_OBJ) $(BUILD)/sources
	$(call say,LD,$@)
	@printf '{ global: ms_*; local: *; };\n' > $(BUILD)/libmascon.map
	$(Q)$(LINK) -shared -Wl,-z,nodelete -Wl,-soname,libmascon.so.0 -Wl,--version-script=$(BUILD)/libmascon.map -o $@ $(filter %.o,$^) $(LIBS)

# One object inside: the tables of kernels are weak references, which would fetch nothing out of an archive. What is hidden stays so: a
# program's own OpenMP must not find our GOMP_parallel (runtime/team.h).
$(BUILD)/libmascon.a: $(CORE_OBJ) $(BUILD)/sources
	$(call say,AR,$@)
	$(Q)$(CC) -r -nostdlib -o $(BUILD)/libmascon.o $(filter %.o,$^) && $(OBJCOPY) --localize-hidden $(BUILD)/libmascon.o && rm -f $@ && ar rcs $@ $(BUILD)/libmascon.o

$(BUILD)/tests/%.o: tests/c/%.c $(BUILD)/flags
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(OPT) -Itests/c $(DEPGEN) -c -o $@ $<

$(BUILD)/tests/test_%: $(BUILD)/tests/test_%.o $(patsubst tests/c/%.c,$(BUILD)/tests/%.o,$(TEST_SHARED)) $(BUILD)/libmascon.a
	$(call say,LD,$@)
	$(Q)$(LINK) -o $@ $^ -lcmocka $(LIBS)

# malloc that fails on purpose, preloaded by tests/alloc; without its instrumentation, which stands before malloc itself.
$(BUILD)/tests/failing.so: tests/alloc/failing.c $(BUILD)/flags
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O1 -g $(WARN) -fPIC -shared $(LUA_CFLAGS) -o $@ $< -ldl

# A device that works only when it is waited for (tests/lazy), a module as a GPU's is.
$(BUILD)/tests/libmascon_lazy.so: tests/lazy/lazy.c $(BUILD)/flags
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(OPT) -MMD -MP -MF $(@:.so=.d) -shared -o $@ $<

# ---- checks -------------------------------------------------------------------------------------------------------------------------
san: setup-test
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/san SAN=1 build-tests
	@BUILD=$(BUILD)/san SAN=1 JOBS=$${JOBS:-$$(nproc)} ONLY='$(ONLY)' tests/run.sh

# The sanitized objects again, linked with a Lua built from the distribution's own source with HARDMEMTESTS: a full collection at every
# allocation, so that what is freed too early is found, and found by name. A file of tests may make it every n-th (tests/run.sh).
STRESS_DIR ?= $(BUILD)/gcstress
STRESS_LUA := $(STRESS_DIR)/lua/liblua.a
gcstress: setup-test
	@if sh tests/stress_lua.sh $(STRESS_DIR)/lua; then \
	  $(MAKE) --no-print-directory BUILD=$(BUILD)/san SAN=1 STRESS_DIR=$(STRESS_DIR) $(STRESS_DIR)/mascon && \
	  BUILD=$(STRESS_DIR) KINDS=lua SAN=1 STRESS=1 JOBS=$${JOBS:-$$(nproc)} ONLY='$(ONLY)' tests/run.sh; \
	else \
	  echo 'skipped: no Lua that collects at every allocation (why: above)'; \
	  test -z "$$MASCON_COUNTS" || echo '0 0 1' >> "$$MASCON_COUNTS"; \
	fi

$(STRESS_DIR)/mascon: $(PROGRAM_OBJ) $(MODULE_OBJ) $(CORE_OBJ) $(BUILD)/sources $(STRESS_LUA)
	$(call say,LD,$@)
	$(Q)$(LINK) -Wl,-E -o $@ $(filter %.o,$^) $(call lua_whole,$(STRESS_LUA)) $(LIBS) $(EDIT_LIBS)

soak: all
	@BUILD=$(BUILD) ONLY='$(ONLY)' tests/soak/run.sh

lint:
	@sh tests/lint.sh

deps:
	@tests/deps.sh

size:
	@sh tests/size.sh

include bindings/package.mk
include kernels/cuda/cuda.mk

# ---- install ------------------------------------------------------------------------------------------------------------------------
ROOT = $(abspath $(DESTDIR)$(PREFIX))
install: all docs
	install -d $(ROOT)/bin $(ROOT)/lib/lua/5.4 $(ROOT)/include $(ROOT)/share/man/man1 $(ROOT)/share/mascon/examples
	install -m 755 $(BUILD)/mascon $(ROOT)/bin/mascon
	install -m 755 $(BUILD)/mascon.so $(ROOT)/lib/lua/5.4/mascon.so
	install -m 755 $(BUILD)/libmascon.so $(ROOT)/lib/libmascon.so.0
	ln -sf libmascon.so.0 $(ROOT)/lib/libmascon.so
	install -m 755 $(BUILD)/libmascon_cuda.so $(ROOT)/lib/libmascon_cuda.so
	install -m 644 $(BUILD)/libmascon.a $(ROOT)/lib/libmascon.a
	install -m 644 runtime/mascon.h $(ROOT)/include/mascon.h
	install -d $(ROOT)/share/man/man3 $(ROOT)/share/mascon/stubs $(ROOT)/share/mascon/html/tutorial
	sed 's|/usr/local|$(PREFIX)|g' $(DOCS)/mascon.1 >$(ROOT)/share/man/man1/mascon.1
	install -m 644 $(DOCS)/mascon.3 $(ROOT)/share/man/man3/mascon.3
	install -m 644 $(DOCS)/stubs/*.lua $(ROOT)/share/mascon/stubs
	install -m 644 $(DOCS)/html/*.html $(ROOT)/share/mascon/html
	install -m 644 $(DOCS)/html/tutorial/*.html $(ROOT)/share/mascon/html/tutorial
	cd scripts && find mascon -name '*.lua' -exec install -D -m 644 {} $(ROOT)/share/{} \;
	cd scripts && find *.lua lab wgan -name '*.lua' -exec install -D -m 644 {} $(ROOT)/share/mascon/examples/{} \;
	cd scripts && find tutorial -name '*.md' -exec install -D -m 644 {} $(ROOT)/share/mascon/{} \;

clean:
	rm -rf $(BUILD)

-include $(patsubst %.o,%.d,$(CORE_OBJ) $(MODULE_OBJ) $(PROGRAM_OBJ)) $(wildcard $(BUILD)/tests/*.d)
