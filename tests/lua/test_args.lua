-- luacheck: globals TestArgs TestText
local lu = require "luaunit"
local args = require "mascon.args"
local text = require "mascon.text"

local defaults = { epochs = 5, lr = 1e-3, quick = false, color = true, out = "runs/x", n_critic = 4, device = "auto",
  loss = args.choice { "mse", "bce", "focal" }, widths = args.list { 128, 64 }, data = args.string, seed = args.integer }

local function parse(...) return args.parse(defaults, { name = "test.lua" }, { ... }) end

-- The text of the error object that parsing raises.
local function refusal(...)
  local ok, e = pcall(parse, ...)
  lu.assertFalse(ok)
  lu.assertIsTable(e)
  lu.assertTrue(e.plain)
  lu.assertEquals(e.exit_code, 2)
  return tostring(e)
end

TestArgs = {}

function TestArgs.test_defaults_stand_when_nothing_is_given()
  local o = parse()
  lu.assertEquals({ o.epochs, o.lr, o.quick, o.color, o.out, o.loss }, { 5, 1e-3, false, true, "runs/x", "mse" })
  lu.assertEquals(o.widths, { 128, 64 })
  lu.assertNil(o.data)
  lu.assertNil(o.seed)
end

function TestArgs.test_value_after_space_or_equals_sign()
  lu.assertEquals(parse("--epochs", "7").epochs, 7)
  lu.assertEquals(parse("--epochs=8").epochs, 8)
  lu.assertEquals(parse("--out=a=b").out, "a=b")
  lu.assertEquals(parse("--out=").out, "")
  lu.assertEquals(parse("--epochs", "1", "--epochs", "2").epochs, 2)
end

function TestArgs.test_types_follow_the_defaults()
  lu.assertEquals(math.type(parse("--epochs", "1e3").epochs), "integer")
  lu.assertEquals(math.type(parse("--lr", "1").lr), "float")
  lu.assertEquals(parse("--lr", "-0.5").lr, -0.5)
  lu.assertEquals(parse("--out", "12").out, "12")
  lu.assertEquals(parse("--seed", "3").seed, 3)
end

function TestArgs.test_booleans()
  lu.assertTrue(parse("--quick").quick)
  lu.assertFalse(parse("--no-quick").quick)
  lu.assertFalse(parse("--no-color").color)
  lu.assertTrue(parse("--quick=yes").quick)
  lu.assertFalse(parse("--color=false").color)
  local message = refusal("--no-quick=yes")
  lu.assertStrContains(message, "takes no value")
  message = refusal("--quick=maybe")
  lu.assertStrContains(message, "--quick: expected true or false, got 'maybe'")
end

function TestArgs.test_dash_and_underscore_are_the_same()
  lu.assertEquals(parse("--n-critic", "6").n_critic, 6)
  lu.assertEquals(parse("--n_critic", "6").n_critic, 6)
end

function TestArgs.test_choice_and_list()
  lu.assertEquals(parse("--loss", "bce").loss, "bce")
  local message = refusal("--loss", "fokal")
  lu.assertStrContains(message, "--loss: expected one of mse|bce|focal, got 'fokal'; did you mean focal?")
  lu.assertEquals(parse("--widths", "1,2,3").widths, { 1, 2, 3 })
  message = refusal("--widths", "1,,3")
  lu.assertStrContains(message, "--widths: expected integers with commas between, got '1,,3'")
  parse().widths[1] = 0
  lu.assertEquals(parse().widths[1], 128)
end

function TestArgs.test_ranges()
  local ranges = { n = "[1, ]", share = "(0, 1)", flip = "[0, 1]", part = "[0,1)", least = "( ,3]", list = "(0, )" }
  local function read(...)
    return args.parse({ n = 5, share = 0.5, flip = 0.1, part = args.number, least = -1.0, list = args.list { 1, 2 } },
      { name = "test.lua", range = ranges }, { ... })
  end
  lu.assertEquals({ read("--n", "1").n, read("--flip", "1").flip, read("--part", "0").part, read("--least", "3").least }, { 1, 1, 0, 3 })
  for words, given in pairs {
    ["--n: expected an integer from 1 on, got '0'"] = { "--n", "0" },
    ["--n: expected an integer from 1 on, got 'x'"] = { "--n", "x" },
    ["--share: expected a number above 0 and below 1, got '2'"] = { "--share", "2" },
    ["--share: expected a number above 0 and below 1, got '0'"] = { "--share=0" },
    ["--flip: expected a number from 0 to 1, got '-0.1'"] = { "--flip", "-0.1" },
    ["--part: expected a number from 0 on and below 1, got '1'"] = { "--part", "1" },
    ["--least: expected a number up to 3, got '4'"] = { "--least", "4" },
    ["--list: expected integers with commas between above 0, got '1,0'"] = { "--list", "1,0" },
  } do
    local ok, e = pcall(read, table.unpack(given))
    lu.assertFalse(ok)
    lu.assertStrContains(tostring(e), "test.lua: " .. words)
    lu.assertEquals(e.exit_code, 2)
  end
  ranges.n = "1.."
  lu.assertErrorMsgContains("range: expected an interval such as [1, ] or (0, 1), got 1..", read)
  ranges.n, ranges.m = nil, "[1, ]"
  lu.assertErrorMsgContains("'m' has a range but no default", read)
  local o = { trial_epochs = 7, share = 0.5 }
  args.within(o, "trial_epochs", "[1, 7]")
  for words, range in pairs { ["--trial-epochs: expected an integer from 1 to 6, got 7"] = "[1, 6]" } do
    local _, e = pcall(args.within, o, "trial_epochs", range)
    lu.assertStrContains(tostring(e), words)
  end
end

function TestArgs.test_the_ranges_of_all_experiments()
  for option, value in pairs { epochs = "0", batch = "-3", lr = "0" } do
    local defaults_, opts = args.standard_spec({}, { name = "test.lua" })
    local ok, e = pcall(args.parse, defaults_, opts, { "--" .. option, value })
    lu.assertFalse(ok)
    lu.assertStrContains(tostring(e), ("--%s: expected "):format(option))
    lu.assertStrContains(tostring(e), ("got '%s'"):format(value))
  end
end

function TestArgs.test_bad_number_names_option_expected_and_got()
  local message = refusal("--epochs", "five")
  lu.assertStrContains(message, "test.lua: --epochs: expected an integer, got 'five'")
  message = refusal("--epochs", "1.5")
  lu.assertStrContains(message, "expected an integer, got '1.5'")
  for _, bad in ipairs { "", " ", "9223372036854775808", "9007199254740993.0", "1e999", "nan", "inf", "-", "3;", "3 4", "0x",
    "1_000" } do
    lu.assertStrContains(refusal("--epochs", bad), "--epochs: expected an integer, got '" .. bad .. "'")
    lu.assertStrContains(refusal("--epochs=" .. bad), "--epochs: expected an integer, got '" .. bad .. "'")
  end
  for _, bad in ipairs { "", "nan", "-nan", "inf", "-inf", "1e999", "0.1.2", "1,5", "0,1" } do
    lu.assertStrContains(refusal("--lr", bad), "--lr: expected a number, got '" .. bad .. "'")
  end
  message = refusal("--lr", "1e999")
  lu.assertStrContains(message, "--lr: expected a number, got '1e999'")
end

function TestArgs.test_unknown_option_suggests_the_nearest()
  local message = refusal("--epoch", "3")
  lu.assertStrContains(message, "unknown option --epoch; did you mean --epochs?")
  message = refusal("--no-quik")
  lu.assertStrContains(message, "did you mean --no-quick?")
  message = refusal("--xyzzy-plugh")
  lu.assertNotStrContains(message, "did you mean")
  for _, given in ipairs { "--=3", "--ep=3", "---epochs", "--no-epochs", "--no-no-quick", "--epochs ", "--Epochs", "--quick " } do
    refusal(given, "3")
  end
  message = refusal("-q")
  lu.assertStrContains(message, "unknown option -q")
end

function TestArgs.test_missing_value_and_stray_argument()
  local message = refusal("--epochs")
  lu.assertStrContains(message, "--epochs: expected an integer after it")
  message = refusal("--out", "--quick")
  lu.assertStrContains(message, "--out: expected a text after it")
  message = refusal("stray")
  lu.assertStrContains(message, "unexpected argument 'stray'")
end

function TestArgs.test_positional_arguments_when_wanted()
  local o = args.parse({ n = 1 }, { positional = "FILE..." }, { "a", "--n", "2", "--", "--b" })
  lu.assertEquals({ o[1], o[2], o.n }, { "a", "--b", 2 })
end

function TestArgs.test_help_is_aligned_and_ordered()
  local ok, e = pcall(args.parse, { "lr: learning rate", "epochs", epochs = 5, lr = 1e-3, shuffle = true },
    { help = "Trains.", describe = { epochs = "passes" }, name = "t.lua" }, { "--help" })
  lu.assertFalse(ok)
  lu.assertEquals(e.exit_code, 0)
  lu.assertEquals(tostring(e), table.concat({
    "usage: mascon t.lua [options]", "", "Trains.", "",
    "  --lr X        learning rate (0.001)",
    "  --epochs N    passes (5)",
    "  --no-shuffle",
    "  -h, --help    print this" }, "\n"))
end

function TestArgs.test_reading_an_option_that_is_not_there_raises()
  local o = parse()
  lu.assertErrorMsgContains("no option 'epoch'; did you mean epochs?", function() return o.epoch end)
end

function TestArgs.test_a_wrong_table_of_defaults_is_the_programmers_error()
  lu.assertErrorMsgContains("described but has no default", args.parse, { n = 1 }, { describe = { m = "?" } }, {})
  lu.assertErrorMsgContains("the default of f is a function", args.parse, { f = print }, {}, {})
  lu.assertErrorMsgContains("unknown key 'descrbe'; did you mean describe?", args.parse, { n = 1 }, { descrbe = {} }, {})
  lu.assertErrorMsgContains("'help' cannot be", args.parse, { help = 1 }, {}, {})
end

function TestArgs.test_standard_options()
  local d, opts = args.standard_spec({ epochs = 3, dims = 8 }, { name = "nice.lua" })
  local o = args.parse(d, opts, { "--dims=2", "--resume", "--device", "cuda:1" })
  lu.assertEquals({ o.epochs, o.dims, o.batch, o.lr, o.seed, o.device, o.out, o.quick, o.resume },
    { 3, 2, 64, 1e-3, 1, "cuda:1", "runs/nice", false, true })
  lu.assertNil(o.data)
  local ok, e = pcall(args.parse, d, opts, { "--device", "gpu" })
  lu.assertFalse(ok)
  lu.assertStrContains(tostring(e), "--device: expected cpu, cuda, cuda:N or auto, got 'gpu'")
end

TestText = {}

function TestText.test_distance()
  lu.assertEquals(text.distance("kitten", "sitting"), 3)
  lu.assertEquals(text.distance("abcd", "abdc"), 1)
  lu.assertEquals(text.distance("", "abc"), 3)
  lu.assertEquals(text.distance("same", "same"), 0)
end

function TestText.test_nearest()
  lu.assertEquals(text.nearest("sofmax", { "softmax", "sum", "matmul" }), "softmax")
  lu.assertNil(text.nearest("zzz", { "softmax", "sum" }))
end
