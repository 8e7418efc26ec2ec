-- For `luarocks make bindings/mascon-scm-1.rockspec` at the top: the module for lua5.4, and the program; `make setup` tells what building needs.
rockspec_format = "3.0"
package = "mascon"
version = "scm-1"
source = { url = "file://." }
description = {
  summary = "deep learning scripted in Lua",
  detailed = "Tensors, automatic differentiation of any order, layers, optimizers, data and classical learning in C, scripted in Lua 5.4.",
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = { "lua >= 5.4, < 5.5" }
build = {
  type = "make",
  build_target = "all",
  build_variables = { LUA_CFLAGS = "-I$(LUA_INCDIR)" },
  install_pass = false,
  install = { lib = { mascon = "build/mascon.so" }, bin = { mascon = "build/mascon" } },
}
