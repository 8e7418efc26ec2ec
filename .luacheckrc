std = "lua54"
max_line_length = 140
ignore = { "211/scope", "211/guard", "581" } -- to-be-closed variables are for closing; `not (x >= 0)` means NaN too
include_files = { "scripts/**/*.lua", "tests/**/*.lua" }
exclude_files = { "build", "runs", "tests/data" }
files["tests/lua"] = { allow_defined_top = true, ignore = { "131" }, globals = { "arg" }, self = false }
