std = "lua54"
max_line_length = 140
include_files = { "scripts/**/*.lua", "tests/**/*.lua" }
exclude_files = { "build", "runs", "tests/data" }
files["tests/lua"] = { allow_defined_top = true, ignore = { "131" }, globals = { "arg" }, self = false }
