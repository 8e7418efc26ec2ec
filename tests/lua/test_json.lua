-- JSON: what is written is read back the same, and what is none is refused by place.
-- gcstress: every 200
-- luacheck: globals TestJson
local lu = require "luaunit"
local ms = require "mascon"
local json = require "mascon.json"

TestJson = {}

function TestJson.test_encode_scalars()
  lu.assertEquals(json.encode(3), "3")
  lu.assertEquals(json.encode(3.0), "3.0")
  lu.assertEquals(json.encode(0.1), "0.1")
  lu.assertEquals(json.encode(1 / 3), "0.3333333333333333")
  lu.assertEquals(json.encode(math.maxinteger), "9223372036854775807")
  lu.assertEquals(json.encode(0 / 0), "null")
  lu.assertEquals(json.encode(-math.huge), "null")
  lu.assertEquals(json.encode(true), "true")
  lu.assertEquals(json.encode(nil), "null")
  lu.assertEquals(json.encode('a"b\\c\n\t\0é'), '"a\\"b\\\\c\\n\\t\\u0000é"')
  lu.assertErrorMsgContains("expected UTF-8, got 'x\\255y'", json.encode, "x\xffy")
  lu.assertEquals(json.encode("x\xffy\xfe", { replace = true }), '"x\u{FFFD}y\u{FFFD}"')
end

function TestJson.test_encode_tables_in_a_stable_order()
  lu.assertEquals(json.encode({ b = 1, a = { 1, 2 }, c = {} }), '{"a":[1,2],"b":1,"c":{}}')
  lu.assertEquals(json.encode({ b = 1, epoch = 2 }, { first = { "epoch" } }), '{"epoch":2,"b":1}')
  lu.assertEquals(json.encode(json.array()), "[]")
  lu.assertEquals(json.encode({ a = { b = 1 } }, { indent = "  " }), '{\n  "a": {\n    "b": 1\n  }\n}')
  lu.assertErrorMsgContains("json: a[2].f: cannot encode a function", json.encode, { a = { 1, { f = print } } })
  lu.assertErrorMsgContains("expected texts as an object's keys, got 2.5", json.encode, { [2.5] = 1 })
  lu.assertErrorMsgContains("json: x: a list of 2 with the key 'name' besides", json.encode, { x = { 1, 2, name = 3 } })
  lu.assertErrorMsgContains("list", json.encode, { 1, nil, 3, nil, nil, 6 }) -- no element is dropped in silence
  local loop = {}
  loop.loop = loop
  lu.assertErrorMsgContains("nested deeper", json.encode, loop)
end

function TestJson.test_numbers_come_back_to_the_last_bit()
  for _, x in ipairs { 0.1, 1 / 3, -0.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1e22, 123456789012345680.0, 3.0, -7e-7,
    2 ^ 53 + 2, math.pi } do
    local got = json.decode(json.encode(x))
    lu.assertEquals(math.type(got), "float")
    lu.assertEquals(("%a"):format(got), ("%a"):format(x))
  end
  for _, n in ipairs { 0, -1, (1 << 53) + 1, math.maxinteger, math.mininteger } do
    local got = json.decode(json.encode(n))
    lu.assertTrue(math.type(got) == "integer" and got == n)
  end
  lu.assertErrorMsgContains("too big integer", json.decode, "9223372036854775808")
  lu.assertErrorMsgContains("too big negative integer", json.decode, "-9223372036854775809")
  lu.assertErrorMsgContains("real number overflow", json.decode, "1e999")
end

function TestJson.test_tensors_and_means_are_what_they_hold()
  lu.assertEquals(json.encode { a = ms.tensor(1.5), b = ms.tensor { { 1, 2 } }, c = ms.meter.mean():add(4), d = ms.zeros { 0 },
    e = ms.zeros { 2, 3 }.shape },
    '{"a":1.5,"b":[[1.0,2.0]],"c":4.0,"d":[],"e":[2,3]}')
  lu.assertErrorMsgContains("json: x: a tensor of 2000000 elements", json.encode, { x = ms.zeros { 2000000 } })
end

function TestJson.test_decode()
  lu.assertEquals(json.decode(' {"a": [1, -2.5e3, true], "b": {"c": "x\\ny"}, "n": null} '),
    { a = { 1, -2500.0, true }, b = { c = "x\ny" } })
  lu.assertEquals(json.decode('"\\u00e9\\ud83d\\ude00\\u0000"'), "é😀\0")
  lu.assertEquals(math.type(json.decode("7")), "integer")
  lu.assertEquals(math.type(json.decode("7.0")), "float")
  lu.assertIs(json.decode("[null]")[1], json.null)
  lu.assertIs(json.decode("null"), json.null)
  lu.assertEquals(json.decode('{"a": null, "b": [null]}', "none"), { a = "none", b = { json.null } })
  lu.assertEquals(json.encode(json.decode("[]")), "[]")
  lu.assertEquals(json.encode(json.decode("{}")), "{}")
  lu.assertEquals(json.decode("false"), false)
end

function TestJson.test_decode_says_where_it_fails()
  for text, what in pairs {
    ["{"] = "near end of file", ["[1,]"] = "unexpected token", ['{"a" 1}'] = "':' expected", ["01"] = "invalid token",
    ['"abc'] = "premature end", ['"\\x"'] = "invalid escape", ["[1 2]"] = "']' expected", ["nul"] = "invalid token",
    ["1 2"] = "end of file expected", [""] = "near end of file", ['"\1"'] = "control character", ['"\\u12g4"'] = "invalid escape",
    ['"\\ud800"'] = "invalid Unicode", ['"\xff"'] = "unable to decode byte 0xff", ['{"a":1,"a":2}'] = "duplicate object key",
    ['{"a\\u0000b":1}'] = "NUL byte in object key", ["NaN"] = "invalid token",
    [("["):rep(101) .. ("]"):rep(101)] = "nested deeper than 100", [("["):rep(100000)] = "maximum parsing depth" } do
    lu.assertErrorMsgContains(what, json.decode, text)
  end
  lu.assertErrorMsgContains("line 3", json.decode, '{\n"a": 1,\n}')
  lu.assertEquals(#json.decode(("["):rep(100) .. ("]"):rep(100)), 1)
end

function TestJson.test_twelve_megabytes_take_no_quadratic_time()
  lu.skipIf((os.getenv "STRESS" or "") ~= "", "skipped: collecting takes the time that is measured here")
  local numbers, names = {}, {}
  for i = 1, 200000 do
    numbers[i] = "0.0123456789"
    names[i] = ('"name.%d": [1, 2]'):format(i)
  end
  for _, text in ipairs { "[" .. table.concat(numbers, ","):rep(4, ",") .. "]", "{" .. table.concat(names, ",") .. "}",
    '"' .. ("x\\n"):rep(1000000) .. '"' } do
    local begun = os.clock()
    json.decode(text)
    lu.assertTrue(os.clock() - begun < 3, ("%.1f s for %d bytes"):format(os.clock() - begun, #text))
  end
end
