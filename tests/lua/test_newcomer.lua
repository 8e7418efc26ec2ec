-- What someone who comes from PyTorch gets wrong on the first day: never in silence, and told what to write instead.
-- gcstress: every 200
local lu = require "luaunit"
local ms = require "mascon"
local nn, optim = ms.nn, ms.optim

local function fails(expected, f, ...) lu.assertErrorMsgContains(expected, f, ...) end

TestNewcomer = {}

function TestNewcomer.test_save_of_a_module_is_not_an_empty_file()
  local m = nn.linear(2, 2)
  local path = os.tmpname()
  fails("save: expected a table of tensors by name (x:state_dict()), got an object", ms.save, path, m)
  fails("x:state_dict()", ms.save, path, optim.sgd(m:parameters()))
  os.remove(path)
end

function TestNewcomer.test_all_that_load_gives()
  local m = nn.linear(2, 2)
  fails("(ms.load(path))", m.load_state_dict, m, m:state_dict(), {}, {})
end

function TestNewcomer.test_nil_for_a_learning_rate()
  local o = optim.sgd(nn.linear(2, 2):parameters(), { lr = 0.5 })
  fails("optim.sgd: lr: expected a value, got nil", function() o.lr = ({})[3] end)
  lu.assertEquals(o.lr, 0.5)
end

function TestNewcomer.test_a_parameter_is_not_replaced_by_something_else()
  local m = nn.linear(2, 2)
  for _, v in ipairs { { 1, 2 }, 3, "w", false } do
    fails("linear.weight is a parameter: expected nn.parameter(tensor), or nil to take it away, got", function() m.weight = v end)
  end
  m.bias = nil
  lu.assertEquals(#m:parameters(), 1)
end

function TestNewcomer.test_a_field_written_wrong()
  local bn, d, Mine = nn.batch_norm(3), nn.dropout(0.3), nn.class("Mine", nn.linear)
  fails("batch_norm has no field 'momentun'; did you mean momentum?", function() bn.momentun = 0.3 end)
  d.note, bn.momentum = "mine", 0.3 -- far from any name: a field of the script's own
  local m = Mine(2, 2)
  m.bias2 = 3 -- and so in a class of the script's own
  lu.assertEquals({ d.note, bn.momentum, m.bias2 }, { "mine", 0.3, 3 })
  fails("optim.adam: there is no field 'momentum'; there are amsgrad, betas", function() return optim.adam(m:parameters()).momentum end)
end

function TestNewcomer.test_a_dot_for_a_colon()
  local m = nn.linear(2, 2)
  local o = optim.sgd(m:parameters())
  for _, name in ipairs { "train", "eval", "parameters", "state_dict", "modules", "zero_grad" } do
    fails("expected a module, got nil; methods are called with a colon", function() m[name]() end)
  end
  fails("optim: step: expected an optimizer, got nil; with a colon: o:step()", function() o.step() end)
  fails("with a colon: o:zero_grad()", function() o.zero_grad() end)
end

function TestNewcomer.test_batches_have_no_positions()
  local loader = ms.data.tensors({ ms.ones { 4, 2 } }):loader { batch = 2 }
  fails("write for x, y in loader do", function() for _ in ipairs(loader) do error "a batch" end end)
  fails("write for x, y in loader do", function() for _ in pairs(loader) do error "a field" end end)
  lu.assertEquals(#loader, 2)
end

function TestNewcomer.test_no_grad_left_open_is_named()
  local p = nn.parameter(ms.ones { 2 })
  local guard <close> = ms.no_grad()
  local y = p:sum()
  fails("they are switched off here (ms.no_grad", y.backward, y)
  fails("no_grad: expected a function, or nothing (local guard <close> = ms.no_grad()), got number", ms.no_grad, 3)
end

function TestNewcomer.test_shapes_and_sizes()
  local x = ms.ones { 4, 3 }
  fails("a shape has no entry 0", function() return x.shape[0] end)
  fails("a shape has no entry -3", function() return x.shape[-3] end)
  lu.assertEquals({ x.shape[-2], x.shape[2], x.shape[3] }, { 4, 3 })
  fails("view: 3 x 4 f32 does not have the elements of 13", ms.ones({ 3, 4 }).view, ms.ones { 3, 4 }, 13)
  fails("x:permute{2, 1}", x.permute, x, 2, 1)
  fails("got a list with 0 in it", x.permute, x, { 1, 0 })
  fails("sizes go in a list: x:view", x.view, x, 6, 2)
end

-- A word with a default may be left out before a number: padding with a value, a loss with its parameter.
function TestNewcomer.test_a_word_may_be_left_out_before_a_number()
  local x = ms.tensor { 1, 2 }
  lu.assertEquals(x:pad({ 0, 1 }, -3):totable(), x:pad({ 0, 1 }, "constant", -3):totable())
  lu.assertEquals(ms.huber_loss(x, ms.zeros { 2 }, 0.5):item(), ms.huber_loss(x, ms.zeros { 2 }, { delta = 0.5 }):item())
  fails("pad: argument value is given twice", x.pad, x, { 0, 1 }, -3, { value = 2 })
end

function TestNewcomer.test_texts_are_no_numbers()
  fails("zeros: expected a list", ms.zeros, { "2" })
  fails("ones: a result of negative size -1", ms.ones, { 2, -1 })
  fails("clamp: unknown option 'most'", ms.clamp, ms.ones { 1 }, { most = 1 })
  fails("got '1'", ms.sum, ms.ones { 2 }, "1")
  fails("eye: argument n: expected an integer, got '3'", ms.eye, "3")
  fails("threads: expected a whole number from 1 to 1024", ms.threads, "2")
end

function TestNewcomer.test_unknown_options_name_those_there_are()
  local ds = ms.data.tensors { ms.ones { 4 } }
  fails("unknown option 'batch_size'; did you mean batch? There are batch, device, drop_last", ds.loader, ds, { batch_size = 2 })
  fails("did you mean lr? There are amsgrad, betas, decoupled_weight_decay, eps, lr, maximize", optim.adam, nn.linear(1, 1):parameters(),
    { learning_rate = 1 })
  fails("compile: too many arguments", ms.compile, function() end, { mode = "fast" })
end

function TestNewcomer.test_help_knows_what_c_gives_and_no_mere_sentences()
  for _, name in ipairs { "tensor", "grad", "no_grad", "scope", "seed", "save", "load", "run", "tensorboard", "zeros" } do
    lu.assertStrContains(ms.help(name), "ms." .. name .. "(")
  end
  for _, name in ipairs { "item", "backward", "totable", "to", "detach" } do lu.assertStrContains(ms.help(name), "x:" .. name .. "(") end
  lu.assertEquals(ms.help("nn"):sub(1, 9), "nn: ms.nn")
  -- a function of a part, whatever the library calls it inside; not an operation of the same name
  for name, words in pairs { ["transforms.normalize"] = "normalize(mean, std)", ["transforms.pad"] = "pad(padding",
    ["data.read_csv"] = "read_csv(path", ["ml.k_fold"] = "for train, test in ml.k_fold(n", ["image.save"] = "ms.image.save(path" } do
    lu.assertStrContains(ms.help(name), words)
  end
  for _, part in ipairs { "ml", "data", "transforms", "image" } do
    for name, f in pairs(ms[part]) do
      if type(f) == "function" then lu.assertNotStrContains(ms.help(part .. "." .. name), "is a function") end
    end
  end
  lu.assertStrContains(ms.help "adam", "optim.adam(parameters")
end

function TestNewcomer.test_methods_of_pytorch()
  local m = nn.linear(2, 2)
  fails("a module has no method 'cuda'; write model:to \"cuda\"", function() m:cuda() end)
  m.float = 3 -- no field's name is taken
  lu.assertEquals(m.float, 3)
  local folder = os.tmpname()
  os.remove(folder)
  local board <close> = ms.tensorboard(folder)
  fails("did you mean board:scalar(tag, value, step)?", function() board:add_scalar("loss", 1, 1) end)
  os.remove(board:path())
  os.remove(folder)
end

function TestNewcomer.test_tensors_are_no_texts_and_no_tables()
  local x = ms.ones { 2 }
  fails("write x:item() for its number", function() return "loss " .. x end)
  fails("for i, row in ipairs(x) do", function() for _ in pairs(x) do error "an entry" end end)
  fails("expected a list, { images, labels }, got a tensor", ms.data.tensors, x, x)
  fails('dtype = "i64"', ms.data.tensors, { x, ms.tensor { 1, 2 } })
  fails('dtype = "i64"', nn.cross_entropy, ms.ones { 2, 2 }, ms.tensor { 1, 2 })
end

function TestNewcomer.test_a_dot_for_a_colon()
  local x = ms.ones { 2 }
  fails("pow: argument y is missing; write x:pow(...), or ms.pow(x, ...)", function() return x.pow(2) end)
  local Net = nn.class "Net"
  function Net:init() self.mu = nn.linear(2, 1) end
  fails("a module in a field is called with a dot: m.layer(x)", function() return Net():mu(x) end)
  lu.assertEquals(Net().mu(x).shape, { 1 })
end

function TestNewcomer.test_metrics_want_names()
  local set = ms.data.tensors { ms.rand { 4, 2 }, ms.randint(1, 2, { 4 }) }
  fails("{ accuracy = function(output, target) ... end }, got 'accuracy' at [1]", ms.fit, nn.linear(2, 2),
    { train = set, loss = nn.cross_entropy, metrics = { "accuracy" } })
end

function TestNewcomer.test_pca_fits_and_transforms_at_once()
  local x = ms.rand { 10, 3 }
  local pca = ms.ml.pca { components = 2 }
  lu.assertTrue(pca:fit_transform(x):allclose(pca:transform(x)))
end

-- A line of a list is a whole sentence: dots that stand for dimensions, or behind "al", end none.
function TestNewcomer.test_lines_of_a_list_are_whole()
  local list = ms.help "nn"
  for line in list:gmatch "[^\n]+" do
    lu.assertNil(line:match "[^%.]%.%.$", line)
    lu.assertNil(line:match "%f[%w]al$", line)
  end
  lu.assertStrContains(list, "... x C r r x H x W to ... x C x H r x W r")
end

function TestNewcomer.test_options_print_their_values()
  local o = ms.args.parse({ lr = 0.1, name = "a", quick = false }, {}, { "--lr", "0.5" })
  local s = tostring(o)
  for _, part in ipairs { "lr = 0.5", "name = 'a'", "quick = false" } do lu.assertStrContains(s, part) end
end

function TestNewcomer.test_code_on_the_command_line_names_no_folder()
  local before = rawget(_G, "arg")
  rawset(_G, "arg", { [0] = "local o = ms.args.standard { lr = 1 } print(o)" })
  local ok, o = pcall(ms.args.standard, { lr = 1 })
  rawset(_G, "arg", before)
  lu.assertTrue(ok, tostring(o))
  lu.assertEquals(o.out, "runs/script")
end

function TestNewcomer.test_loops_of_python_on_one_line()
  local explain = require "mascon.explain"
  local hints = { ["for i in range(10): print(i)"] = "write for i = 1, n do", ["while True: run()"] = "write while x do ... end" }
  for code, hint in pairs(hints) do
    local _, message = load(code, "=code")
    lu.assertStrContains(explain.syntax(message, code, true) or "no hint", hint)
  end
end
