# The Lua part of the library, every scripts/mascon/*.lua and scripts/mascon/FOLDER/*.lua, whose name is FOLDER.NAME, as two assembler
# files, each a table of (name, start, end): $(EMBED_S) has the texts and is part of the program and of mascon.so; $(CODE_S) has them
# compiled (bindings/embed/compile.c) and is part of the program alone, which knows the Lua that will read it. To be included by the
# Makefile, which sets BUILD. The folders themselves are prerequisites: their time changes when a file comes or goes.
EMBED_LUA := $(sort $(wildcard scripts/mascon/*.lua scripts/mascon/*/*.lua))
EMBED_S   := $(BUILD)/embed.S
EMBED_O   := $(BUILD)/embed_lua.o
CODE_S    := $(BUILD)/embed_code.S
CODE_O    := $(BUILD)/embed_code.o

# embed_table(symbol, shell function that gives a module's file from its source and name): the assembler text of a table.
embed_table = name() { f=$${1\#scripts/mascon/}; echo "$${f%.lua}" | tr / .; }; $(2); \
	{ echo '  .section .data.rel.ro,"aw"'; echo '  .globl $(1)'; echo '  .hidden $(1)'; \
	  echo '  .p2align 4'; echo '$(1):'; \
	  for f in $(EMBED_LUA); do n=$$(name $$f); echo "  .quad .Lname_$$n, .Ltext_$$n, .Lend_$$n"; done; \
	  echo '  .quad 0, 0, 0'; echo '  .section .rodata'; \
	  for f in $(EMBED_LUA); do n=$$(name $$f); \
	    echo ".Lname_$$n: .asciz \"$$n\""; echo ".Ltext_$$n: .incbin \"$$(file $$f $$n)\""; echo ".Lend_$$n: .byte 0"; done; \
	  echo '  .section .note.GNU-stack,"",%progbits'; } > $@.new && mv $@.new $@

$(EMBED_S): $(EMBED_LUA) $(sort $(dir $(EMBED_LUA))) bindings/embed.mk
	@mkdir -p $(dir $@)
	@$(call embed_table,ms_embedded,file() { echo $$1; })

$(BUILD)/embed_compile: bindings/embed/compile.c $(BUILD)/flags
	$(call say,CC,$@)
	$(Q)$(CC) -std=gnu11 -O1 $(WARN) $(LUA_CFLAGS) -o $@ $< $(LUA_LIBS) -ldl -lm

$(CODE_S): $(EMBED_S) $(BUILD)/embed_compile
	@rm -rf $(BUILD)/embed && mkdir -p $(BUILD)/embed && $(BUILD)/embed_compile $(BUILD)/embed $(EMBED_LUA)
	@$(call embed_table,ms_compiled,file() { echo $(BUILD)/embed/$$2; })

$(EMBED_O) $(CODE_O): %.o:
	$(CC) -c -o $@ $<
$(EMBED_O): $(EMBED_S)
$(CODE_O): $(CODE_S)
