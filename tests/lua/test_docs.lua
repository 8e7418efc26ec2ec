-- gcstress: every 5000
-- luacheck: globals TestDocs
-- The pages made of what ?NAME says: the stubs for editors are Lua that has every public name, the reference has a place for each, and the
-- manual page is one.
package.path = "scripts/?.lua;" .. package.path
local lu = require "luaunit"
local ms = require "mascon"
local records = require "pages.records"
local system = require "mascon.system"

TestDocs = {}

local stubs, text
function TestDocs.setUp()
  if stubs then return end
  text = require "pages.stubs"()
  local f, message = load(text, "=stubs", "t", {}) -- nothing is called, no global is named
  stubs = f and f() or error(message)
end

function TestDocs.test_stubs_have_every_public_name()
  lu.assertEquals(text:sub(1, 15), "---@meta mascon")
  local lacking = {}
  local function compare(ours, theirs, where)
    for key in next, ours do
      if type(key) == "string" and key:sub(1, 1) ~= "_" and (type(theirs) ~= "table" or theirs[key] == nil) then
        lacking[#lacking + 1] = where .. key
      end
    end
  end
  for _, room in ipairs(records.ROOMS) do
    local ours, theirs = ms, stubs
    for part in room:gmatch "[^%.]+" do
      if part ~= "ms" then ours, theirs = ours[part], theirs and theirs[part] end
    end
    compare(ours, theirs, room .. ".")
  end
  compare(ms.methods, stubs.methods, "x:")
  table.sort(lacking)
  lu.assertEquals(lacking, {})
end

function TestDocs.test_stubs_say_arguments_and_options()
  for _, want in ipairs {
    "function ms.conv2d(x, w, bias, options, ...) end", "function x:softmax(dim", "function x:sort(options, ...) end",
    "---@param options? { [any]: any, dim?: integer, descending?: boolean, stable?: boolean }|integer\n---@param ... any\n"
      .. "---@return mascon.tensor\n---@return mascon.tensor\n", "function ms.nn.linear(inputs, outputs, options) end",
    "stride?:", "---@return mascon.tensor", "---@return mascon.module", "function m:parameters(",
  } do lu.assertTrue(text:find(want, 1, true) ~= nil, want) end
end

function TestDocs.test_signatures_are_read()
  local function read(signature, name)
    local out = {}
    for i, p in ipairs(records.parameters { signature = signature, name = name }) do
      local fields = {}
      for k, f in ipairs(p.fields or {}) do fields[k] = f.name .. "=" .. f.default end
      out[i] = p.name .. (p.optional and "?" or "") .. (#fields > 0 and ":" .. table.concat(fields, ";") or "")
    end
    return table.concat(out, " ")
  end
  lu.assertEquals(read("nn.linear(inputs, outputs [, { bias = true }]) -> module", "nn.linear"), "inputs outputs options?:bias=true")
  lu.assertEquals(read("x:to(dtype or device)", "x:to"), "dtype")
  lu.assertEquals(read("nn.sequential { a, b, ... } -> module", "nn.sequential"), "options")
  lu.assertEquals(read("ms.grad(y, x [, { gradient =, allow_unused = }]) -> dy/dx", "ms.grad"), "y x options?:gradient=;allow_unused=")
  lu.assertEquals(read("ms.recompute(f, ...) -> what", "ms.recompute"), "f ...")
  lu.assertEquals(read("m(a, a, [b = 1])", "m"), "a a_ b?")
end

function TestDocs.test_pages_have_a_place_for_each()
  local files = require "pages.html" { lesson = "# A lesson\n\nSay `a < b` and [go on](next.md).\n\n| a | b |\n|---|---|\n| 1 | 2 |\n" }
  local place, known = {}, {}
  for page, anchor, name in files["index.html"]:gmatch '<a href="([%w]+%.html)#([%w_.-]+)"[^>]*><code>([^<]*)</code>' do
    place[name] = page .. "#" .. anchor
  end
  for page, html in pairs(files) do
    for anchor in html:gmatch '<h2 id="([^"]*)"' do
      lu.assertNil(known[page .. "#" .. anchor], anchor)
      known[page .. "#" .. anchor] = true
    end
  end
  for _, e in ipairs(records.entries()) do lu.assertTrue(known[place[e.name]], e.name) end
  for name, html in pairs(files) do
    lu.assertNil(html:find "<script[^>]*src", name)
    for to in html:gmatch 'href="([^"#]+)' do
      local from = name:match "^(.*/)" or ""
      lu.assertTrue(to:find "next.html$" ~= nil or files[(from .. to):gsub("[^/]+/%.%./", "")] ~= nil, name .. " leads to " .. to)
    end
  end
  local lesson = files["tutorial/lesson.html"]
  for _, want in ipairs { "<h1>A lesson</h1>", "<code>a &lt; b</code>", '<a href="next.html">go on</a>', "<th>a</th>", "<td>2</td>" } do
    lu.assertStrContains(lesson, want)
  end
end

function TestDocs.test_the_manual_page()
  local page = require "pages.man"(ms.version)
  lu.assertTrue(page:find(".Ss nn.linear(inputs, outputs", 1, true) ~= nil)
  for line in page:gmatch "[^\n]+" do lu.assertNil(line:find "^'", line) end
  local status, _, complaints = system.run({ "groff", "-mdoc", "-Tutf8", "-ww", "-z" }, page)
  if not status then return lu.skip "no groff here" end
  lu.assertEquals(status, 0, complaints)
  lu.assertNil(complaints:find "error", complaints)
end
