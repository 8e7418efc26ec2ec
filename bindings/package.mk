# make docs, make deb, make dist: pages and packages of what was built. To be included by the Makefile.
VERSION  := $(shell sed -n 's/^\#define MS_VERSION *"\(.*\)"/\1/p' runtime/mascon.h)
DEB_ARCH  = $(shell dpkg --print-architecture 2>/dev/null || uname -m)
DEB      ?= $(BUILD)/mascon_$(VERSION)_$(DEB_ARCH).deb
DIST     ?= $(BUILD)/mascon-$(VERSION)-linux-$(ARCH).tar.gz
DOCS     := $(BUILD)/docs

.PHONY: docs deb dist

# The reference as HTML, a page for each module; the manual page; what editors read (LuaCATS). All from the records of ?NAME.
docs: $(DOCS)/made
$(DOCS)/made: $(BUILD)/mascon $(wildcard scripts/pages/*.lua scripts/tutorial/*.md) bindings/mascon.1
	$(call say,DOCS,$(DOCS))
	$(Q)$(BUILD)/mascon scripts/pages/make.lua $(DOCS) >/dev/null
	@touch $@

# A Debian package of what `make install` installs, its dependencies asked of dpkg-shlibdeps.
deb: all docs
	$(call say,DEB,$(DEB))
	$(Q)BUILD=$(BUILD) VERSION=$(VERSION) MAKE='$(MAKE)' bash bindings/make_deb.sh $(DEB)

# One archive that runs where it is unpacked. RPATH (not RUNPATH): the libraries beside it serve one another too.
$(BUILD)/dist/mascon: $(PROGRAM_OBJ) $(MODULE_OBJ) $(CORE_OBJ) $(BUILD)/sources
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(LINK) -Wl,-E -Wl,--disable-new-dtags '-Wl,-rpath,$$ORIGIN/../lib' -o $@ $(filter %.o,$^) $(LUA_LIBS) $(LIBS) $(EDIT_LIBS)

dist: $(BUILD)/dist/mascon docs
	$(call say,DIST,$(DIST))
	$(Q)BUILD=$(BUILD) VERSION=$(VERSION) bash bindings/make_dist.sh $(DIST)
