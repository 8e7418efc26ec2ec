-- watch/differences: two texts compared line by line: which lines of the new one are not in the old one, and the difference as `diff -u`
-- writes it.
local differences = {}

local MOST = 4000000 -- pairs of lines that are compared; with more, all between the first and the last difference counts as changed

function differences.lines(s)
  local list = {}
  for line in (s:sub(-1) == "\n" and s or s .. "\n"):gmatch "([^\n]*)\n" do list[#list + 1] = line end
  return list
end

-- differences.align(a, b) -> for each entry of list b, the place in list a of the one it is, or false; in order, as many as can be (a
-- longest common subsequence).
function differences.align(a, b)
  local out, n, m, head = {}, #a, #b, 0
  for j = 1, m do out[j] = false end
  while head < n and head < m and a[head + 1] == b[head + 1] do
    head = head + 1
    out[head] = head
  end
  while n > head and m > head and a[n] == b[m] do
    out[m] = n
    n, m = n - 1, m - 1
  end
  local rows, columns = n - head, m - head
  if rows == 0 or columns == 0 or rows * columns > MOST then return out end
  local length = {} -- length[i][j]: of the rests behind i and j
  for i = rows, 0, -1 do
    local row, below = {}, length[i + 1]
    for j = columns, 0, -1 do
      if i == rows or j == columns then row[j] = 0
      elseif a[head + i + 1] == b[head + j + 1] then row[j] = below[j + 1] + 1
      else row[j] = math.max(below[j], row[j + 1]) end
    end
    length[i] = row
  end
  local i, j = 0, 0
  while i < rows and j < columns do
    if a[head + i + 1] == b[head + j + 1] then
      i, j = i + 1, j + 1
      out[head + j] = head + i
    elseif length[i + 1][j] >= length[i][j + 1] then i = i + 1
    else j = j + 1 end
  end
  return out
end

-- All lines in order: { " ", "-" or "+", text, line in the new text }.
local function edits(a, b, at)
  local list, i, upcoming = {}, 1, { [#b + 1] = #a + 1 } -- by line of b: the next line of a that stays
  for j = #b, 1, -1 do upcoming[j] = at[j] or upcoming[j + 1] end
  for j = 1, #b + 1 do
    while i < upcoming[j] do
      list[#list + 1] = { "-", a[i], j }
      i = i + 1
    end
    if j <= #b then list[#list + 1] = { at[j] and " " or "+", b[j], j } end
    if at[j] then i = i + 1 end
  end
  return list
end

-- differences.unified(old, new, name) -> text, "" where there is none; differences.changed(old, new) -> numbers of lines of the new text
-- that are not in the old one, or follow on some that are gone; without remarks.
function differences.unified(old, new, name)
  local a, b = differences.lines(old), differences.lines(new)
  local list = edits(a, b, differences.align(a, b))
  local out, from, to, k = {}, 1, 1, 1
  local near = {}
  for at, e in ipairs(list) do
    if e[1] ~= " " then
      for n = math.max(1, at - 3), math.min(#list, at + 3) do near[n] = true end
    end
  end
  while k <= #list do
    if near[k] then
      local body, removed, added, first_from, first_to = {}, 0, 0, from, to
      while near[k] do
        local e = list[k]
        body[#body + 1] = e[1] .. e[2]
        if e[1] ~= "+" then removed, from = removed + 1, from + 1 end
        if e[1] ~= "-" then added, to = added + 1, to + 1 end
        k = k + 1
      end
      out[#out + 1] = ("@@ -%d,%d +%d,%d @@"):format(first_from, removed, first_to, added)
      table.move(body, 1, #body, #out + 1, out)
    else
      from, to, k = from + 1, to + 1, k + 1
    end
  end
  if #out == 0 then return "" end
  return ("--- %s\n+++ %s\n%s\n"):format(name, name, table.concat(out, "\n"))
end

function differences.changed(old, new)
  local a, b = differences.lines(old), differences.lines(new)
  local lines, known = {}, {}
  local list = edits(a, b, differences.align(a, b))
  for at, e in ipairs(list) do
    local next_one = at
    while e[1] == "-" and list[next_one] and list[next_one][1] == "-" do next_one = next_one + 1 end
    local replaced = e[1] == "-" and list[next_one] and list[next_one][1] == "+"
    if e[1] ~= " " and not replaced and e[2]:find "%S" and not e[2]:find "^%s*%-%-[^%[]" and not known[e[3]] then
      known[e[3]] = true
      lines[#lines + 1] = e[3]
    end
  end
  return lines
end

return differences
