-- text: edit distance and the nearest name, for "did you mean"; texts that are safe to show.
local term = require "mascon.term"
local text = {}

-- visible(s [, lines]): s as a terminal, a figure or a page may have it: control characters and bytes that are not UTF-8 as Lua writes
-- them (\27), so that a text from a file or from a user moves no cursor and sets no colour. lines: tabs and line ends stay.
text.visible = term.visible

-- Any value on one line, for a message: texts in quotes, at most 80 bytes of them.
function text.show(v)
  local s = tostring(v)
  if #s > 80 then s = s:sub(1, 77) .. "..." end
  s = text.visible(s)
  return type(v) == "string" and "'" .. s .. "'" or s
end

-- Number of insertions, deletions, changes and swaps of neighbours that turn a into b (optimal string alignment); more than `limit`, if
-- that is given, may come out as any number above it.
function text.distance(a, b, limit)
  local before, row, last = {}, {}, 0
  if limit and math.abs(#a - #b) > limit then return math.abs(#a - #b) end
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local new, least = { [0] = i }, i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      local d = math.min(row[j] + 1, new[j - 1] + 1, row[j - 1] + cost)
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        d = math.min(d, before[j - 2] + 1)
      end
      new[j] = d
      least = d < least and d or least
    end
    if limit and least > limit and last > limit then return least end -- what follows comes of these two rows
    before, row, last = row, new, least
  end
  return row[#b]
end

-- The name in the list nearest to `name`, or nil when none is near enough to be meant: at most a third of its letters differ
-- (one letter in names of three to five; only upper and lower case in shorter ones). Equal distances: the one first in alphabetical order.
function text.nearest(name, names)
  local best, least = nil, (#name < 3 and 0 or math.max(1, #name // 3)) + 0.5
  local lower = name:lower()
  for _, candidate in ipairs(names) do
    if type(candidate) == "string" then
      local d = text.distance(lower, candidate:lower(), least)
      if d < least or (d == least and best and candidate < best) then
        best, least = candidate, d
      end
    end
  end
  return best
end

-- "; did you mean X?" or "".
function text.hint(name, names, prefix)
  local near = text.nearest(name, names)
  return near and ("; did you mean %s%s?"):format(prefix or "", near) or ""
end

-- All string keys of a table, sorted.
function text.keys(t)
  local keys = {}
  for k in pairs(t) do
    if type(k) == "string" then keys[#keys + 1] = k end
  end
  table.sort(keys)
  return keys
end

return text
