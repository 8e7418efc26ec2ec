-- html: the reference as pages that stand by themselves: one for each module, an index of all names with a field to search in, and the
-- tutorial. Gives a table of file name -> text.
local markdown = require "pages.markdown"
local records = require "pages.records"
local escape = markdown.escape

local STYLE = [[
:root { color-scheme: light dark; --ink: #222; --back: #fff; --soft: #f4f5f7; --edge: #d9dce1; --link: #0b5cad; --dim: #666 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ddd; --back: #17191c; --soft: #22262b; --edge: #3a4048; --link: #7db8f5; --dim: #9aa }
}
body { margin: 0; color: var(--ink); background: var(--back); font: 16px/1.5 system-ui, sans-serif }
header { padding: .6rem 1.2rem; border-bottom: 1px solid var(--edge); background: var(--soft) }
header a { margin-right: .9rem; white-space: nowrap }
header b { margin-right: 1.2rem }
main { max-width: 56rem; margin: 0 auto; padding: 1rem 1.2rem 4rem }
a { color: var(--link); text-decoration: none }
a:hover { text-decoration: underline }
h1 { font-size: 1.7rem } h2 { font-size: 1.05rem; margin: 1.8rem 0 .3rem; padding-top: .6rem; border-top: 1px solid var(--edge) }
h2 code, .names code { background: none; padding: 0 }
code, pre { font: .9em/1.45 ui-monospace, "DejaVu Sans Mono", monospace; background: var(--soft); border-radius: 4px }
code { padding: .1em .3em } pre { padding: .7rem .9rem; overflow-x: auto; white-space: pre }
.text { white-space: pre-wrap; margin: .3rem 0 } .also, .about, .file { color: var(--dim); font-size: .9rem; margin: .3rem 0 }
.names { columns: 14rem; font-size: .9rem }
.names a { display: block }
table { border-collapse: collapse }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--edge); vertical-align: top }
input { font: inherit; width: 100%; max-width: 30rem; padding: .4rem .6rem; margin: .5rem 0 1rem; color: inherit; background: var(--back);
  border: 1px solid var(--edge); border-radius: 4px }
]]

local SEARCH = [[
<script>
document.getElementById("q").addEventListener("input", function (event) {
  var words = event.target.value.toLowerCase().split(/\s+/);
  document.querySelectorAll(".names a").forEach(function (a) {
    var all = (a.textContent + " " + a.title).toLowerCase();
    a.style.display = words.every(function (w) { return all.indexOf(w) >= 0; }) ? "" : "none";
  });
});
</script>
]]

local function page(title, body, up)
  local links = {}
  for _, p in ipairs(records.PAGES) do links[#links + 1] = ('<a href="%s%s.html">%s</a>'):format(up or "", p[1], p[2]) end
  return ([[
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s - mascon</title><style>
%s</style></head><body>
<header><b><a href="%sindex.html">mascon</a></b> %s</header>
<main>
%s
</main></body></html>
]]):format(escape(title), STYLE, up or "", table.concat(links, "\n"), body)
end

local function anchor(name) return (name:gsub("[^%w_]", function(c) return c == ":" and "-" or "." end)) end

local function arguments(e)
  local rows = {}
  for _, a in ipairs(e.args or {}) do
    local default = a.default == "none" and "may be left out" or a.default and "default " .. a.default or ""
    rows[#rows + 1] = ("<tr><td><code>%s</code></td><td>%s</td><td>%s</td></tr>"):format(escape(a.name),
      escape(a.words or records.KINDS[a.kind] or ""), escape(default))
  end
  return #rows > 0 and "<table>" .. table.concat(rows) .. "</table>" or ""
end

local function record(e)
  local out = { ('<h2 id="%s"><code>%s</code></h2>'):format(anchor(e.name), escape(records.heading(e))) }
  if e.also and #e.also > 0 then out[#out + 1] = '<p class="also">also ' .. escape(table.concat(e.also, ", ")) .. "</p>" end
  if e.text ~= "" then out[#out + 1] = '<p class="text">' .. escape(e.text) .. "</p>" end
  out[#out + 1] = arguments(e)
  if e.example and e.example ~= "" then out[#out + 1] = "<pre>" .. escape(e.example) .. "</pre>" end
  return table.concat(out, "\n")
end

-- tutorial: page name ("1-prompt") -> Markdown
return function(tutorial)
  local files, all = {}, {}
  local pages = records.by_page()
  local elsewhere = {} -- page -> links to records on other pages: nn.mse is ms.mse_loss
  for _, p in ipairs(records.PAGES) do elsewhere[p[1]] = {} end
  for _, p in ipairs(records.PAGES) do
    for _, e in ipairs(pages[p[1]]) do
      for _, other in ipairs(e.also or {}) do
        local to = p[1] .. ".html#" .. anchor(e.name)
        local link = ('<a href="%s" title="%s"><code>%s</code></a>'):format(to, escape(e.signature), escape(other))
        local its = records.page_of_name(other)
        all[#all + 1] = { other, link }
        if its and its ~= p[1] then table.insert(elsewhere[its], { other, link }) end
      end
    end
  end
  for _, p in ipairs(records.PAGES) do
    local body, names = { ("<h1>%s</h1><p>%s</p>"):format(escape(p[2]), escape(p[3])) }, {}
    for _, e in ipairs(pages[p[1]]) do
      names[#names + 1] = ('<a href="#%s"><code>%s</code></a>'):format(anchor(e.name), escape(e.name))
      all[#all + 1] = { e.name, ('<a href="%s.html#%s" title="%s"><code>%s</code></a>'):format(p[1], anchor(e.name),
        escape(e.text:match "^[^\n]*"), escape(e.name)) }
    end
    body[#body + 1] = '<div class="names">' .. table.concat(names, "\n") .. "</div>"
    table.sort(elsewhere[p[1]], function(a, b) return a[1] < b[1] end)
    for i, one in ipairs(elsewhere[p[1]]) do elsewhere[p[1]][i] = one[2] end
    if #elsewhere[p[1]] > 0 and p[1] ~= "tensor" then
      local links = table.concat(elsewhere[p[1]], "\n")
      body[#body + 1] = '<p class="about">and, among the operations:</p><div class="names">' .. links .. "</div>"
    end
    for _, e in ipairs(pages[p[1]]) do body[#body + 1] = record(e) end
    files[p[1] .. ".html"] = page(p[2], table.concat(body, "\n"))
  end
  local lessons, order = {}, {}
  for name in pairs(tutorial) do order[#order + 1] = name end
  table.sort(order)
  for _, name in ipairs(order) do
    files["tutorial/" .. name .. ".html"] = page(name, markdown.html(tutorial[name]), "../")
    local title = tutorial[name]:match "^#%s*([^\n]*)" or name
    lessons[#lessons + 1] = ('<li><a href="tutorial/%s.html">%s</a></li>'):format(name, escape(title))
  end
  table.sort(all, function(a, b) return a[1] < b[1] end)
  for i, one in ipairs(all) do all[i] = one[2] end
  files["index.html"] = page("reference", ([[
<h1>mascon</h1><p>Deep learning scripted in Lua. To begin with:</p><ul>%s</ul>
<h2>all %d names</h2><input id="q" placeholder="search names and what they do" autofocus>
<div class="names">%s</div>%s]]):format(table.concat(lessons), #all, table.concat(all, "\n"), SEARCH))
  return files
end
