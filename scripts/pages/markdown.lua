-- markdown: as much of Markdown as the pages of scripts/tutorial use, as HTML: headings, paragraphs, lists, tables, fenced blocks; `code`,
-- **bold** and [links](page.md), which lead to page.html.
local function escape(s) return (s:gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" })) end

local function inline(s)
  local codes = {}
  s = s:gsub("`([^`]+)`", function(c)
    codes[#codes + 1] = "<code>" .. escape(c) .. "</code>"
    return ("\1%d\1"):format(#codes)
  end)
  s = escape(s):gsub("%*%*(.-)%*%*", "<b>%1</b>"):gsub("%[(.-)%]%((.-)%)", function(words, to)
    return ('<a href="%s">%s</a>'):format(to:gsub("%.md$", ".html"), words)
  end)
  return (s:gsub("\1(%d+)\1", function(i) return codes[tonumber(i)] end))
end

local function row(line, tag)
  local cells = {}
  for cell in line:gsub("^|", ""):gsub("|%s*$", ""):gmatch "[^|]+" do
    cells[#cells + 1] = ("<%s>%s</%s>"):format(tag, inline(cell:match "^%s*(.-)%s*$"), tag)
  end
  return "<tr>" .. table.concat(cells) .. "</tr>"
end

local function html(source)
  local out, open, words = {}, nil, {}
  local function flush()
    if #words > 0 then out[#out + 1] = ("<p>%s</p>"):format(inline(table.concat(words, " "))) end
    words = {}
  end
  local function close()
    flush()
    if open then out[#out + 1] = "</" .. open .. ">" end
    open = nil
  end
  local code
  for line in (source .. "\n"):gmatch "([^\n]*)\n" do
    local level, title = line:match "^(#+)%s+(.*)$"
    if code then
      if line:find "^```" then
        out[#out + 1] = "<pre>" .. escape(table.concat(code, "\n")) .. "</pre>"
        code = nil
      else
        code[#code + 1] = line
      end
    elseif line:find "^```" then
      close()
      local name = line:match "^```%w+%s+(%S+)"
      if name then out[#out + 1] = ('<p class="file">%s</p>'):format(escape(name)) end
      code = {}
    elseif level then
      close()
      out[#out + 1] = ("<h%d>%s</h%d>"):format(#level, inline(title), #level)
    elseif line:find "^|[-| ]+$" then -- the line below a table's head
      out[#out] = out[#out]:gsub("<(/?)td>", "<%1th>")
    elseif line:find "^|" then
      if open ~= "table" then
        close()
        open = "table"
        out[#out + 1] = "<table>"
      end
      out[#out + 1] = row(line, "td")
    elseif line:find "^%- " then
      if open ~= "ul" then
        close()
        open = "ul"
        out[#out + 1] = "<ul>"
      end
      out[#out + 1] = "<li>" .. inline(line:sub(3)) .. "</li>"
    elseif open == "ul" and line:find "^  %S" then
      out[#out] = out[#out]:gsub("</li>$", " ") .. inline(line:match "^%s*(.*)$") .. "</li>"
    elseif line == "" then
      close()
    else
      words[#words + 1] = line
    end
  end
  close()
  return table.concat(out, "\n")
end

return { html = html, escape = escape }
