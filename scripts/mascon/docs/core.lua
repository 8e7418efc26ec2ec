-- What ?ms.NAME says of functions that are no operations. The form is told in docs.lua.
return [==[
ms: the library: local ms = require "mascon" (the prompt has ms, nn, optim, ml and data)
  Operations are functions and methods alike, ms.exp(x) and x:exp(); ?operations lists them. Rooms: ?nn ?optim ?ml ?data ?transforms ?plot
  ?image ?checkpoint ?meter ?args. Everything counts from 1.
  > ms.randn({ 2, 3 }):exp():sum(2).shape
ms.tensor(values [, { dtype = "f32", device =, requires_grad = false }]) -> tensor
  From nested lists of numbers, whole ones too (labels and positions want { dtype = "i64" }); booleans give bool; a tensor is copied.
  > ms.tensor { { 1, 2 }, { 3, 4 } }
ms.zeros(shape [, { dtype = "f32", device =, requires_grad = false }]) -> tensor
  Zeros. The options may stand in the list of sizes: ms.zeros { 2, 3, dtype = "f64" }.
  > ms.zeros { 2, 3 }
ms.ones(shape [, { dtype = "f32", device =, requires_grad = false }]) -> tensor
  Ones.
  > ms.ones { 2, 3, dtype = "i64" }
ms.empty(shape [, { dtype = "f32", device =, requires_grad = false }]) -> tensor
  Zeros: memory is not handed out unwritten.
  > ms.empty { 2, 3 }
ms.zeros_like(x [, { dtype =, device = }]) -> tensor
  Zeros of x's shape, dtype and device.
  > ms.zeros_like(ms.ones { 2 })
ms.ones_like(x [, { dtype =, device = }]) -> tensor
  Ones of x's shape, dtype and device.
  > ms.ones_like(ms.zeros { 2 })
ms.empty_like(x [, { dtype =, device = }]) -> tensor
  Zeros of x's shape, dtype and device.
  > ms.empty_like(ms.ones { 2 })
ms.full_like(x, value [, { dtype =, device = }]) -> tensor
  A tensor of x's shape, dtype and device filled with a value.
  > ms.full_like(ms.ones { 2 }, 3)
ms.rand_like(x [, { low = 0, high = 1, dtype =, device = }]) -> tensor
  Uniform random numbers of x's shape, dtype and device.
  > ms.rand_like(ms.ones { 2 }).shape
ms.randn_like(x [, { mean = 0, std = 1, dtype =, device = }]) -> tensor
  Normal random numbers of x's shape, dtype and device.
  > ms.randn_like(ms.ones { 2 }).shape
ms.randint_like(x, low, high [, { dtype =, device = }]) -> tensor
  Random integers low..high, both included, of x's shape, dtype and device.
  > ms.randint_like(ms.ones { 2 }, 1, 6).shape
ms.logspace(start, stop, count [, base = 10]) -> tensor
  count values base^start .. base^stop, whose logarithms are evenly spaced.
  > ms.logspace(0, 2, 3)
ms.meshgrid({ x, y, ... } [, { indexing = "ij" }]) -> list of tensors
  A view for each vector, of a grid with a dimension for each; indexing = "xy": the first two dimensions swapped.
  > local a, b = table.unpack(ms.meshgrid { ms.arange(1, 2), ms.arange(1, 3) })
  > a.shape, b.shape
ms.cartesian_prod { x, y, ... } -> tensor
  A row for each way to take one element of each vector.
  > ms.cartesian_prod { ms.arange(1, 2), ms.arange(5, 6) }
ms.combinations(x [, r = 2 [, { with_replacement = false }]]) -> tensor
  A row for each choice of r elements of a vector, in their order.
  > ms.combinations(ms.arange(1, 3))
ms.broadcast_tensors { x, y, ... } -> list of tensors
  Views of one shape, to which they all broadcast.
  > ms.broadcast_tensors { ms.zeros { 3, 1 }, ms.zeros { 2 } }[1].shape
ms.split(x, size [, dim = 1]) -> list of tensors
  Views of `size` elements along dim, the last one perhaps smaller; ms.split(x, { a, b, ... }): of these sizes, which add up to all of it.
  > #ms.arange(1, 5):split(2)
ms.chunk(x, chunks [, dim = 1]) -> list of tensors
  At most so many views of equal size along dim, the last one perhaps smaller.
  > #ms.arange(1, 5):chunk(2)
ms.tensor_split(x, sections [, dim = 1]) -> list of tensors
  So many views along dim, the first ones larger by 1 where that does not come out even; a list { a, b, ... }: cut after the first a
  elements,
  after the first b, ...
  > #ms.arange(1, 5):tensor_split(3)
ms.hsplit(x, sections) -> list of tensors
  ms.tensor_split along dimension 2 (of vectors: 1); a number must divide it evenly.
  > #ms.zeros({ 2, 4 }):hsplit(2)
ms.vsplit(x, sections) -> list of tensors
  ms.tensor_split along dimension 1.
  > #ms.zeros({ 4, 2 }):vsplit(2)
ms.dsplit(x, sections) -> list of tensors
  ms.tensor_split along dimension 3.
  > #ms.zeros({ 1, 2, 4 }):dsplit(2)
ms.unbind(x [, dim = 1]) -> list of tensors
  x[1], x[2], ... along dim: views without that dimension.
  > #ms.zeros({ 3, 2 }):unbind()
ms.einsum(equation, x, y, ...) -> tensor
  The sum of products that the equation says (Einstein's convention): a letter for each dimension of each operand; letters that the part
  behind "->" lacks are summed over. A letter twice in one operand is its diagonal; "..." stands for dimensions that broadcast.
  > ms.einsum("ij,jk->ik", ms.ones { 2, 3 }, ms.ones { 3, 4 }).shape
ms.tensordot(a, b [, dims = 2]) -> tensor
  The sum of products over the last dims dimensions of a and the first dims of b; dims = { { ... }, { ... } }: over these dimensions, in
  pairs.
  > ms.tensordot(ms.ones { 2, 3 }, ms.ones { 3, 4 }, 1).shape
ms.chain_matmul { a, b, c, ... } -> tensor
  The product of these matrices, in the order that takes the fewest multiplications; the first may be a vector (a row), the last one too.
  > ms.chain_matmul { ms.ones { 2, 3 }, ms.ones { 3, 4 }, ms.ones { 4, 1 } }.shape
ms.multi_dot { a, b, c, ... } -> tensor
  ms.chain_matmul by PyTorch's other name.
  > ms.multi_dot { ms.ones { 2, 3 }, ms.ones { 3, 4 } }.shape
ms.index_put(x, index, values [, { accumulate = false }]) -> tensor
  x with x[index] = values; x:index_put_ changes x itself. index: whatever x[index] takes; accumulate: values are added, each time that a
  place is named.
  > ms.zeros({ 3 }):index_put({ 2 }, 5)
ms.index_put_(x, index, values [, { accumulate = false }]) -> x
  ms.index_put that changes x itself.
  > ms.zeros({ 3 }):index_put_({ 2 }, 5)
ms.allclose(x, y [, { rtol = 1e-5, atol = 1e-8, equal_nan = false }]) -> true, or false and a text
  The text says how they differ: assert(x:allclose(y)) names the worst element.
  > ms.allclose(ms.ones { 2 }, ms.ones { 2 })
ms.isclose(x, y [, { rtol = 1e-5, atol = 1e-8, equal_nan = false }]) -> bool tensor
  true where |x - y| <= atol + rtol |y|; infinities are close to themselves.
  > ms.isclose(ms.tensor { 1, 2 }, ms.tensor { 1, 3 })
ms.equal(x, y) -> true or false
  Have both the same shape and the same elements? (NaN is like nothing.)
  > ms.equal(ms.ones { 2 }, ms.ones { 2 })
ms.assert_close(actual, expected [, { rtol =, atol =, equal_nan = false, check_dtype = true }])
  Raises unless both have one shape and dtype and close elements; the message says which element is worst. Tolerances are those of PyTorch's
  testing.assert_close unless both are given.
  > ms.assert_close(ms.ones { 2 }, ms.ones { 2 })
ms.type_as(x, other) -> tensor
  x in the dtype, and on the device, of other.
  > ms.ones({ 2 }):type_as(ms.zeros({ 1 }, { dtype = "i64" })).dtype
ms.is_tensor(v) -> true or false
  > ms.is_tensor(ms.ones { 1 }), ms.is_tensor(3)
ms.grad(y, x [, { gradient =, allow_unused = false }]) -> dy/dx
  y has one element, or gradient (PyTorch's grad_outputs) says what its elements weigh. For a list of x, a list (false where unused); for a
  list of y the sum. The results are ordinary tensors, which can be differentiated again.
  > local x = ms.tensor({ 3 }, { requires_grad = true })
  > ms.grad((x ^ 3):sum(), x)
ms.no_grad(f, ...) -> what f(...) gives, computed without a graph
  Or, until the end of a block: local guard <close> = ms.no_grad(). Without `local ... <close>` it stays so.
  > ms.no_grad(function() return nn.linear(2, 2)(ms.ones { 2 }) end).requires_grad
ms.enable_grad(f, ...) -> what f(...) gives, computed with a graph
  ms.no_grad, the other way.
  > ms.enable_grad(function() return nn.linear(2, 2)(ms.ones { 2 }) end).requires_grad
ms.grad_enabled() -> true or false: are graphs made?
  > ms.grad_enabled()
ms.jacobian(f, x) -> J
  For f(x) of sizes a and x of sizes b a tensor of sizes a, b: J[i][j] = d f(x)[i] / d x[j]. x may be a list (f is called with its tensors,
  J
  is a list), f may give several tensors. One backward pass for each element of f(x). Differentiable again.
  > ms.jacobian(function(x) return x ^ 2 end, ms.tensor { 1, 2 })
ms.hessian(f, x) -> H
  For f(x) of one element and x of sizes a, a tensor of sizes a, a: H[i][j] = d2 f(x) / d x[i] d x[j].
  > ms.hessian(function(x) return (x ^ 3):sum() end, ms.tensor { 1, 2 })
ms.vjp(f, x, v) -> f(x), v J
  v is like f(x) (may be left out if that has one element), v J like x.
  > ms.vjp(function(x) return x ^ 2 end, ms.tensor { 1, 2 }, ms.ones { 2 })
ms.jvp(f, x, v) -> f(x), J v
  v is like x, J v like f(x). Two backward passes, whatever the sizes are.
  > ms.jvp(function(x) return x ^ 2 end, ms.tensor { 1, 2 }, ms.ones { 2 })
ms.hvp(f, x, v) -> f(x), H v
  For f(x) of one element; v and H v are like x. Two backward passes.
  > ms.hvp(function(x) return (x ^ 3):sum() end, ms.tensor { 1, 2 }, ms.ones { 2 })
ms.gradcheck(f, inputs [, { eps = 1e-6, atol = 1e-5, rtol = 1e-3, raise_exception = true }]) -> true
  Compares the derivatives of f(inputs...) with central differences; inputs: a tensor or a list, f64. What differs is an error that names
  the
  result, the input, the element and both numbers; with raise_exception = false the answer is false, and that text.
  > ms.gradcheck(ms.sin, ms.tensor({ 1, 2 }, { dtype = "f64", requires_grad = true }))
ms.gradgradcheck(f, inputs [, { eps = 1e-6, atol = 1e-5, rtol = 1e-3, raise_exception = true }]) -> true
  The same for the derivatives of the derivatives.
  > ms.gradgradcheck(ms.sin, ms.tensor({ 1, 2 }, { dtype = "f64", requires_grad = true }))
ms.custom_function { forward = f, backward = g, name = "custom_function" } -> function
  A function with a derivative of its own. forward(ctx, ...) runs without a graph; backward(ctx, dy, ...) gets a gradient for each result
  and
  gives one for each argument, nil for none. ctx:save_for_backward(x), ctx.saved_tensors, ctx.needs_input_grad, any field.
  > local cube = ms.custom_function {
  >   forward = function(ctx, x) ctx:save_for_backward(x) return x ^ 3 end,
  >   backward = function(ctx, dy) return dy * 3 * ctx.saved_tensors[1] ^ 2 end,
  > }
  > local x = ms.tensor({ 2 }, { requires_grad = true })
  > ms.grad(cube(x):sum(), x)
ms.recompute(f, ...) -> what f(...) gives
  Memory for time (PyTorch's checkpoint): what f computes on the way is not kept for the backward pass, which calls f again. Gradients are
  the
  same, of any order; random numbers are drawn as before. f must do the same both times.
  > local layer = nn.linear(3, 3)
  > ms.recompute(function(x) return layer(x):tanh() end, ms.ones { 2, 3 }).shape
ms.compile(f) -> step, which is called as f is
  Records what f does with tensors (forward, backward, optimizer) and replays it: call 1 runs f, call 2 records, call 3 records and
  compares,
  from call 4 on f's Lua does not run. What changes from call to call must be handed in (numbers and tensors may be), or be an optimizer's
  setting. Other sizes, dtypes, modes and captured values make recordings of their own. step:report(), step:profile(n, ...).
  MASCON_COMPILE=check runs f as well, every time, and compares; =off only f.
  > local net = nn.linear(2, 1)
  > local adam = optim.adam(net:parameters(), { lr = 1e-2 })
  > local step = ms.compile(function(x, y)
  >   local loss = nn.mse(net(x), y)
  >   adam:zero_grad(); loss:backward(); adam:step()
  >   return loss
  > end)
  > for i = 1, 5 do step(ms.ones { 4, 2 }, ms.zeros { 4, 1 }) end
step: a compiled step
  step(...) runs the function, or replays what it did.
  > ms.compile(function(x) return x * 2 end)(ms.ones { 2 })
step:report() -> text: what was recorded, and what the passes made of it
  > local step = ms.compile(function(x) return x * 2 end)
  > for i = 1, 4 do step(ms.ones { 2 }) end
  > type(step:report())
step:profile(n, ...) -> text: where the time of n replays with these arguments goes (they train, if the step does)
  > local step = ms.compile(function(x) return x * 2 end)
  > for i = 1, 4 do step(ms.ones { 2 }) end
  > type(step:profile(2, ms.ones { 2 }))
ms.rehearse(step, { model = model, optimizer = o }, loader or { x, y } [, { x2, y2 }, ...]) -> step, ready to be replayed
  Calls a compiled step four times with copies of these arguments and puts back what that changed (the parts named and the default
  generator), so that a run that goes on from a checkpoint ends with the bits of one that was never interrupted: rehearse in both, before
  the
  first epoch and before the checkpoint is loaded. {} for a step that changes nothing.
  > local step = ms.compile(function(x) return x * 2 end)
  > ms.rehearse(step, {}, { ms.ones { 2 } })
ms.reload() -> list of the names of functions that were swapped in
  Looks now whether the script, or a module of its own, was saved with changes, as `mascon watch` does at the end of each step; model,
  optimizer and data stay as they are. nil and a message where a text is no Lua: the old functions stay.
  > ms.reload()
ms.detect_nan([on]) -> is it on?
  ms.detect_nan(true), ms.detect_nan(f, ...), or local d <close> = ms.detect_nan(true): an operation that gives NaN, or infinity from finite
  arguments, is an error that names it, the element, what it was given there and the script's line.
  > ms.detect_nan()
ms.check_numerics(on): an operation whose result holds NaN or infinity is an error from now on
  Any NaN or infinity, looked for after each operation. ms.detect_nan says where it came from, and is cheap in compiled steps.
  > ms.check_numerics(false)
ms.threads([n]) -> how many threads the kernels use
  With a number: from now on. At first MASCON_THREADS, else the cores this process may use. Results are the same to the bit with any number.
  > ms.threads() >= 1
ms.deterministic([on]) -> true or false
  true, as at first: the same bits whatever the number of threads. false: sums may be cut by the number of threads.
  > ms.deterministic()
ms.flush_denormal([on]) -> true or false
  true, as at first on x86-64: numbers too small for full precision (f32 below 1.18e-38) count as zero. false: IEEE 754's gradual underflow.
  > ms.flush_denormal()
ms.precision([name]) -> "f32" or "bf16": how f32 products are computed
  "bf16": operands of large products and of convolutions are rounded to bf16, and the products added up in f32; tensors stay f32. Raises
  where
  the processor has neither AMX nor AVX512_BF16.
  > ms.precision()
ms.scope() -> scope: local s <close> = ms.scope() at the top of a block
  Tensors made until the block ends are freed at its end, unless s:keep(x) was said.
  > do
  >   local s <close> = ms.scope()
  >   kept = s:keep(ms.ones { 2 } * 3)
  > end
  > kept
scope: what ms.scope gives
  > do local s <close> = ms.scope() end
scope:keep(x, ...) -> x, ...: tensors that outlive the scope
  > do local s <close> = ms.scope(); x = s:keep(ms.ones { 1 }) end
ms.keep(x, ...) -> x, ...: tensors that outlive the scope they were made in, and its caller's
  > ms.keep(ms.ones { 2 })
ms.seed(n): starts the default generator anew, from the whole number n, and Lua's own (math.random) as well
  The same seed gives the same numbers on every processor and device, to the bit (ms.rng_version says which stream).
  > ms.seed(1)
ms.with_seed(seed, f, ...) -> what f(...) gives
  f draws from a generator of its own, begun at `seed`; the default generator afterwards stands where it stood, also after an error.
  > ms.with_seed(1, ms.randn, { 2 }):equal(ms.with_seed(1, ms.randn, { 2 }))
ms.rng_state([seed, position]) -> seed, position: where the default generator stands; with two numbers: it stands there from now on
  > local seed, position = ms.rng_state()
  > ms.rng_state(seed, position)
ms.rng_version: 2, the stream of random numbers that a seed means; a new number would mean other numbers
  > ms.rng_version
ms.print_options([{ threshold = 1000, edgeitems = 3, precision = 4, linewidth = 80 }]) -> what holds now
  How tensors are printed (PyTorch's set_printoptions): of more than threshold elements only edgeitems at the ends of each dimension
  (math.huge: always all), so many digits behind the point, lines of that width.
  > ms.print_options { precision = 2 }
  > print(ms.rand { 3 }); ms.print_options { precision = 4 }
ms.version: the version of the library, "0.1.0"
  > ms.version
ms.memory([device]) -> { live =, peak =, cached =, allocated =, ... } in bytes, of all devices or of one
  ms.memory "reset" starts the peaks anew, ms.memory "release" empties the caches of freed blocks.
  > ms.memory().live >= 0
ms.device(name) -> its full name, what it is
  Raises why there is no such device.
  > ms.device "cpu"
ms.synchronize([device]): waits until the device (without a name: each in use) has done what it was asked; raises what went wrong meanwhile
  > ms.synchronize()
ms.time() -> seconds, as a float, from some moment on: for measuring
  > local t = ms.time()
  > ms.time() >= t
ms.save(path, tensors [, metadata]): a safetensors file, written whole or not at all
  NumPy's npz or npy where the name ends so. tensors: by name, as model:state_dict() gives them, or a list of { name, tensor } (npy: one
  tensor); metadata: texts by name. ms.load reads it.
  > local path = os.tmpname()
  > ms.save(path, nn.linear(2, 3):state_dict())
  > ms.load(path).weight.shape, os.remove(path)
ms.load(path [, { device =, max_bytes =, names =, mmap = false }]) -> what the file holds
  Whatever the file is, by its content: safetensors and npz give tensors by name, metadata, the names in the file's order; npy, IDX, PNG,
  JPEG
  (u8, channels x height x width) one tensor; MATLAB's as data.read_mat, CSV as data.read_csv. names: only these; mmap = true: the tensors
  are
  the file itself. Raises when the file is not sound, or wants more memory than 8 times the file and 64 MB (max_bytes).
  model:load_state_dict((ms.load(path))) takes the first value, by the parentheses.
  > local path = os.tmpname()
  > ms.save(path, { w = ms.ones { 2 } })
  > local tensors, metadata, names = ms.load(path)
  > tensors.w, names[1], os.remove(path)
ms.deepcopy(x) -> a copy that shares nothing with x: of a module, a tensor or a table of them
  Parameters and buffers of its own with the same values; what was one in several places is one in the copy; frozen stays frozen, hooks
  stay,
  gradients do not come along. Optimizers and schedules are an error.
  > ms.deepcopy(nn.linear(2, 2))
ms.tensorboard(folder [, { resume = step }]) -> board: a TensorBoard event file in the folder
  resume: events from that step on, by earlier runs in the folder, are void. Its methods: ?board
  > local board = ms.tensorboard(folder)
  > board:scalar("loss", 0.5, 1); board:close()
board: a TensorBoard writer, of ms.tensorboard or run:board()
  > ms.tensorboard(folder):close()
board:scalar(tag, value, step): a point of a curve
  > ms.tensorboard(folder):scalar("loss", 0.5, 1)
board:image(tag, x, step): pictures, as ms.image.save takes them
  > ms.tensorboard(folder):image("digits", ms.rand { 4, 1, 8, 8 }, 1)
board:histogram(tag, x, step): how the elements of a tensor are spread
  > ms.tensorboard(folder):histogram("weights", ms.randn { 100 }, 1)
board:text(tag, text, step): a text, for TensorBoard's page of texts
  > ms.tensorboard(folder):text("notes", "began", 1)
board:hparams(options, figures): a row in TensorBoard's table of settings
  > ms.tensorboard(folder):hparams({ lr = 0.1 }, { loss = 2.5 })
board:flush(): writes out what waits
  > ms.tensorboard(folder):flush()
board:close(): writes out what waits, and ends the file
  > ms.tensorboard(folder):close()
board:path() -> the name of its file
  > type(ms.tensorboard(folder):path())
ms.help([name]) -> text: what ?name shows at the prompt
  ms.help "softmax", ms.help "nn.linear", ms.help "operations"; ms.help(value) of a live value; ms.help "?word" searches.
  > ms.help "softmax"
ms.ops() -> list of the operations' rows: { name, signature, doc, sample, args, ... }
  > #ms.ops() > 300
ms.source([module]) -> list of the names of the library's Lua modules; with a name, its text
  > #ms.source() > 100
ms.methods: table of the methods of tensors; a function put there is one more
  > function ms.methods.double_it(x) return x * 2 end
  > ms.ones({ 2 }):double_it()
ms.global(name [, value]) or ms.global { name = value, ... }: declares globals, and gives them values
  In scripts a global that was never declared is an error; at the prompt it is not.
  > ms.global("answer", 42)
ms.fail_allocation(k): the k-th allocation from now on fails, once: for tests of what runs out of memory; 0: none
  > ms.fail_allocation(0)
x: a tensor
  Fields: x.shape, x.dtype, x.device, x.requires_grad, x.is_leaf, x.grad. x[i] is a row, x[{ { 1, 5 }, {}, -1 }] a slice (a view), x[mask]
  and
  x[index] choose; #x is the first size. Operators are arithmetic, + - * / ^ % //; comparisons are methods, x:gt(0). Every operation is a
  method, too: ?operations
  > local x = ms.randn { 3, 4 }
  > x.shape, x.dtype, #x, x[{ {}, -1 }].shape
x.shape: list of the sizes: prints as {2, 3}, compares with a list (x.shape == { 2, 3 } needs a shape on one side), joins with text
  > ms.zeros { 2, 3 }.shape, #ms.zeros { 2, 3 }.shape
x.dtype: "f32", "f64", "f16", "bf16", "i64", "i32", "u8" or "bool"
  > ms.zeros { 2 }.dtype
x.device: "cpu", "cuda", ...
  > ms.zeros { 2 }.device
x.requires_grad: is it a parameter, or computed from one? x.requires_grad = true makes it one
  > nn.linear(1, 1).weight.requires_grad
x.is_leaf: was it made by hand, and not computed with a graph?
  > nn.linear(1, 1).weight.is_leaf
x.grad: the gradient that x:backward() added up, or nil; x.grad = nil forgets it
  > local p = ms.ones({ 2 }, { requires_grad = true });
  > (p * 3):sum():backward()
  > p.grad
x:backward([{ gradient =, inputs =, retain = false }]): adds to p.grad the derivative of x by each parameter p
  x has one element, or gradient says what its elements weigh. inputs: a parameter or a list of them, which alone get it: what only the
  others
  need is not computed; retain: it may be called again.
  > local p = ms.ones({ 2 }, { requires_grad = true });
  > (p ^ 2):sum():backward()
  > p.grad
x:item() -> the number or boolean that a tensor of one element holds
  In a compiled step it is an error: return the tensor.
  > ms.tensor({ 3 }):item()
x:totable() -> nested lists, or a number for a scalar
  > ms.tensor({ { 1, 2 } }):totable()
x:to(dtype or device) -> tensor
  x:to "f64", x:to "cuda", x:to { dtype =, device = }; x itself where nothing changes.
  > ms.ones({ 2 }):to "i64"
x:detach() -> the same values without the graph, in the same memory
  > (nn.linear(1, 1).weight * 2):detach().requires_grad
x:requires_grad_([on = true]) -> x, a parameter from now on (or not)
  > ms.zeros({ 2 }):requires_grad_().requires_grad
x:size([dim]) -> list of the sizes, or one of them
  > ms.zeros({ 2, 3 }):size(2)
x:numel() -> how many elements it has
  > ms.zeros({ 2, 3 }):numel()
x:dim() -> how many dimensions it has
  > ms.zeros({ 2, 3 }):dim()
x:stride([dim]) -> list of how many elements lie between neighbours along each dimension, or one of them
  > ms.zeros({ 2, 3 }):stride()
x:nbytes() -> how many bytes its elements take
  > ms.zeros({ 2, 3 }):nbytes()
x:element_size() -> how many bytes one element takes
  > ms.zeros({ 2, 3 }):element_size()
x:storage_offset() -> at which element of its storage it begins
  > ms.zeros({ 2, 3 })[2]:storage_offset()
x:is_contiguous() -> do its elements lie in row-major order, without gaps?
  > ms.zeros({ 2, 3 }):t():is_contiguous()
x:zero_() -> x, all zeros now
  > ms.ones({ 2 }):zero_()
x:float() -> x as f32
  > ms.ones({ 2, dtype = "i64" }):float().dtype
x:double() -> x as f64
  > ms.ones({ 2 }):double().dtype
x:long() -> x as i64
  > ms.ones({ 2 }):long().dtype
x:int() -> x as i32
  > ms.ones({ 2 }):int().dtype
x:byte() -> x as u8
  > ms.ones({ 2 }):byte().dtype
x:bool() -> x as bool: true where it is not 0
  > ms.tensor({ 0, 2 }):bool()
x:half() -> x as f16
  > ms.ones({ 2 }):half().dtype
x:bfloat16() -> x as bf16
  > ms.ones({ 2 }):bfloat16().dtype
]==]
