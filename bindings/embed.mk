# The Lua part of the library as one assembler file: a table of (name, start, end) and the text of every scripts/mascon/*.lua and
# scripts/mascon/FOLDER/*.lua, whose name is FOLDER.NAME. To be included by the Makefile, which sets BUILD and compiles $(EMBED_S) to
# $(EMBED_O), part of the program and of mascon.so. The folders themselves are prerequisites: their time changes when a file comes or goes.
EMBED_LUA := $(sort $(wildcard scripts/mascon/*.lua scripts/mascon/*/*.lua))
EMBED_S   := $(BUILD)/embed.S
EMBED_O   := $(BUILD)/embed_lua.o

$(EMBED_S): $(EMBED_LUA) $(sort $(dir $(EMBED_LUA))) bindings/embed.mk
	@mkdir -p $(dir $@)
	@name() { f=$${1#scripts/mascon/}; echo "$${f%.lua}" | tr / .; }; \
	{ echo '  .section .data.rel.ro,"aw"'; echo '  .globl ms_embedded'; echo '  .hidden ms_embedded'; \
	  echo '  .p2align 4'; echo 'ms_embedded:'; \
	  for f in $(EMBED_LUA); do n=$$(name $$f); echo "  .quad .Lname_$$n, .Ltext_$$n, .Lend_$$n"; done; \
	  echo '  .quad 0, 0, 0'; echo '  .section .rodata'; \
	  for f in $(EMBED_LUA); do n=$$(name $$f); \
	    echo ".Lname_$$n: .asciz \"$$n\""; echo ".Ltext_$$n: .incbin \"$$f\""; echo ".Lend_$$n: .byte 0"; done; \
	  echo '  .section .note.GNU-stack,"",%progbits'; } > $@.new && mv $@.new $@

$(EMBED_O): $(EMBED_S)
	$(CC) -c -o $@ $<
