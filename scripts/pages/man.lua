-- man: mascon(3), the reference as a manual page, in mdoc. Quotes are written so that what is copied from a terminal is what was meant.
local records = require "pages.records"

local function quoted(line)
  line = line:gsub("\\", "\\e"):gsub("%-", "\\-")
  line = line:gsub("['`^~\"]", { ["'"] = "\\(aq", ["`"] = "\\(ga", ["^"] = "\\(ha", ["~"] = "\\(ti", ['"'] = "\\(dq" })
  return line:find "^[%.']" and "\\&" .. line or line
end

local function lines(out, s)
  for line in (s .. "\n"):gmatch "([^\n]*)\n" do out[#out + 1] = line == "" and ".Pp" or quoted(line) end
end

return function(version)
  local out = {
    ".\\\" Made by `make docs` of what ?NAME says.", ".Dd January 1, 2025", ".Dt MASCON 3", ".Os mascon " .. version,
    ".Sh NAME", ".Nm mascon", ".Nd the functions of the library, by module",
    ".Sh SYNOPSIS", ".Li local ms = require \\(dqmascon\\(dq",
    ".Sh DESCRIPTION", "What", ".Ql ?NAME", "says at the prompt of", ".Xr mascon 1 ,", "for all names. Methods are written", ".Ql x:item",
    "(of tensors),", ".Ql m:train", "(of modules) and so on.",
  }
  local pages = records.by_page()
  for _, p in ipairs(records.PAGES) do
    out[#out + 1] = ".Sh " .. p[2]:upper()
    for _, e in ipairs(pages[p[1]]) do
      out[#out + 1] = ".Ss " .. quoted(records.heading(e))
      if e.also and #e.also > 0 then
        lines(out, "Also " .. table.concat(e.also, ", ") .. ".")
        out[#out + 1] = ".Pp"
      end
      lines(out, e.text)
      if e.example and e.example ~= "" then
        out[#out + 1] = ".Bd -literal -offset indent"
        for line in (e.example .. "\n"):gmatch "([^\n]*)\n" do out[#out + 1] = line == "" and "" or quoted(line) end
        out[#out + 1] = ".Ed"
      end
    end
  end
  out[#out + 1] = ".Sh SEE ALSO\n.Xr mascon 1"
  return table.concat(out, "\n") .. "\n"
end
