-- names: what people of other libraries call things, and errors that lead from there to ours.
--
-- Every table of the library raises at a name that it does not have: names.guard(table, "ms.plot"). The error's hint comes from the
-- phrasebook below first (PyTorch's, NumPy's, scikit-learn's and matplotlib's names), then from the other tables of the library (what
-- stands in another one), then from spelling.
local options = require "mascon.options"
local text = require "mascon.text"
local names = {}

-- By table, foreign name (in lower case, without underscores at its end) -> what to write. An entry without dot, colon or brace is a name
-- of the table itself (a test looks whether there is one); one that begins with "=" is a sentence.
local PHRASES = {
  ms = {
    array = "tensor", as_tensor = "tensor", asarray = "tensor", floattensor = "tensor", longtensor = "tensor",
    from_numpy = "tensor",
    power = "pow", swish = "silu", mod = "remainder", manual_seed = "seed", random_seed = "seed",
    set_num_threads = "threads", get_num_threads = "threads", get_rng_state = "rng_state", set_rng_state = "rng_state",
    inference_mode = "no_grad", set_grad_enabled = "enable_grad", is_grad_enabled = "grad_enabled", jit = "compile",
    autograd = "grad", set_float32_matmul_precision = "precision", use_deterministic_algorithms = "deterministic",
    set_printoptions = "print_options", random = "rand", uniform = "rand", choice = "randperm", permutation = "randperm",
    fold = "col2im", max_pool = "max_pool2d", avg_pool = "avg_pool2d", conv = "conv2d", upsample = "interpolate",
    as_strided = "x:unfold(dim, size, step)", ["repeat"] = "tile",
    cuda = "=x:to(\"cuda\") moves a tensor, ms.device(\"cuda\") asks for the device",
    amax_ = "amax",
    dataloader = "ds:loader{...}", dataset = "ms.data.tensors{...}", summarywriter = "ms.tensorboard",
    tqdm = "progress", trange = "progress", sigmoid_cross_entropy = "bce_with_logits", binary_cross_entropy = "bce_loss",
    binary_cross_entropy_with_logits = "bce_with_logits", kl_div_loss = "kl_div", focal_loss = "sigmoid_focal_loss",
    cosine_distance = "cosine_similarity",
    functional = "=operations are ms.X: ms.relu(x); losses are ms.nn.X: ms.nn.mse(x, y)", tensorboardx = "tensorboard",
    writer = "tensorboard", type = "x.dtype",
    set_detect_anomaly = "detect_nan", detect_anomaly = "detect_nan", anomaly_mode = "detect_nan",
    jacrev = "jacobian", jacfwd = "jacobian", ["function"] = "custom_function",
    savez = "save", save_npz = "save", load_npz = "load", loadtxt = "ms.data.read_csv(path)", genfromtxt = "ms.data.read_csv(path)",
    read_csv = "ms.data.read_csv(path)", savetxt = "ms.data.write_csv(path, x)", memmap = "ms.load(path, { mmap = true })",
    float32 = 'the word "f32" (dtype = "f32")', float64 = 'the word "f64" (dtype = "f64")', double = 'the word "f64" (dtype = "f64")',
    int64 = 'the word "i64" (dtype = "i64")', long = 'the word "i64" (dtype = "i64")', int32 = 'the word "i32" (dtype = "i32")',
    uint8 = 'the word "u8" (dtype = "u8")', bfloat16 = 'ms.precision("bf16")', trainer = "fit",
    sleep = "=os.execute(\"sleep 1\") waits for a second",
    set_default_dtype = "=each tensor has its own: { dtype = \"f64\" }", load_state_dict = "model:load_state_dict((ms.load(path)))",
    state_dict = "model:state_dict()", with_no_grad = "no_grad", parameters = "model:parameters()", item = "x:item()",
    backward = "loss:backward()", imshow = "ms.image.save(path, x)", imread = "ms.image.load(path)", f = "ms.X and ms.nn.X",
  },
  tensor = {
    tolist = "totable", numpy = "totable",
    cuda = "x:to(\"cuda\")", cpu = "x:to(\"cpu\")", concat = "ms.cat{x, y}",
    power = "pow",
    data = "detach", ndim = "dim", ndimension = "dim",
    swish = "silu", polygamma = "ms.polygamma(n, x)",
    rank = "dim", nelement = "numel", len = "#x", length = "#x", type = "x.dtype", astype = "to", copy = "clone",
    transpose_ = "transpose", ["repeat"] = "tile", squeeze_ = "squeeze", requires_gradient = "requires_grad",
    zero_grad = "x.grad = nil",
    set_ = "copy_", fill = "fill_", zero = "zero_", float32 = "float", float64 = "double", int64 = "long", int32 = "int", uint8 = "byte",
    float16 = "half", t_ = "transpose", mod = "remainder", print = "print(x)", tostring = "tostring(x)", elements = "numel",
    norm_ = "norm", sum_all = "sum",
    as_strided = "x:unfold(dim, size, step)",
  },
  ["ms.nn"] = { functional = "=operations are ms.X: ms.relu(x); losses are ms.nn.X: ms.nn.mse(x, y)", modulelist = "module_list",
    bcewithlogitsloss = "bce_with_logits", crossentropyloss = "cross_entropy", binary_cross_entropy = "bce",
    binary_cross_entropy_with_logits = "bce_with_logits", batchnorm = "batch_norm", dense = "linear",
    fc = "linear", conv = "conv2d", convtranspose = "conv_transpose2d", deconv2d = "conv_transpose2d", maxpool = "max_pool2d",
    avgpool = "avg_pool2d", upsamplingnearest2d = "upsample", interpolate = "upsample", swish = "silu", view = "unflatten",
    reshape = "unflatten", nllloss = "nll", klloss = "kl_div", kldivloss = "kl_div", hinge = "hinge_embedding",
    hinge_loss = "hinge_embedding", focal_loss = "sigmoid_focal", focal = "sigmoid_focal", tripletloss = "triplet_margin",
    cosineembedding = "cosine_embedding", contrastive_loss = "cosine_embedding", cosinesimilarity = "cosine_similarity",
    pairwisedistance = "pairwise_distance", mae = "l1", l2 = "mse", module_ = "class",
    lstm = "=there are no recurrent layers", gru = "=there are no recurrent layers", rnn = "=there are no recurrent layers",
    mlp = "sequential", concat = "ms.cat { x, y }" },
  ["ms.nn.init"] = { he_uniform = "kaiming_uniform_", he_normal = "kaiming_normal_", glorot_uniform = "xavier_uniform_",
    zero_ = "zeros_", fill_ = "constant_", trunc_normal = "normal_" },
  ["ms.optim"] = { optimizer = "class", scheduler = "lr_scheduler", schedule = "lr_scheduler", sparseadam = "adam", adafactor = "adamw" },
  ["ms.checkpoint"] = { read = "load", restore = "load", write = "save", exists = "peek", load_checkpoint = "load",
    save_checkpoint = "save", load_state_dict = "load" },
  ["ms.transforms"] = { totensor = "convert_image_dtype", to_tensor = "convert_image_dtype", to_dtype = "convert_image_dtype",
    hflip = "horizontal_flip", vflip = "vertical_flip", translate = "shift", unnormalize = "denormalize", invert = "random_pixel_flip",
    colorjitter = "color_jitter", jitter = "color_jitter", rgb_to_grayscale = "grayscale", random_translation = "random_affine",
    random_shift = "random_affine", random_scale = "random_affine", noise = "gaussian_noise", sequential = "compose" },
  ["ms.data"] = {
    dataloader = "ds:loader{...}", tensordataset = "tensors", dataset = "tensors", subset = "ds:subset(...)",
    random_split = "ds:split(...)", randomsampler = "random_sampler", subsetrandomsampler = "subset_random_sampler",
    weightedrandomsampler = "weighted_random_sampler", sequentialsampler = "sequential_sampler",
    mnist_ = "mnist", fashionmnist = "fashion_mnist", load_mnist = "mnist", gather = "ds:map(fn)", map = "ds:map(fn)",
    load = "ms.load(path)",
    imagefolder = "folder", load_csv = "read_csv", csv = "read_csv", save_csv = "write_csv", load_npy = "ms.load(path)",
    load_npz = "ms.load(path)", save_npz = "write_npz",
    loader = "ds:loader{...}", split = "ds:split(...)", train_test_split = "ds:split(...)",
  },
  ["ms.ml"] = {
    kneighborsclassifier = "knn", nearest_neighbors = "knn", nearestneighbors = "knn", neighbors = "knn",
    randomforestclassifier = "random_forest",
    forest = "random_forest", randomforest = "random_forest", decisiontreeclassifier = "decision_tree", tree = "decision_tree",
    accuracy_score = "accuracy", confusion_matrix = "confusion", score = "accuracy", svd = "pca",
    roc_auc_score = "auroc", auc = "auroc", roc_auc = "auroc", roc = "roc_curve", average_precision_score = "average_precision",
    precision_score = "precision", recall_score = "recall", f1_score = "f1", report = "classification_report", r2_score = "r2",
    mean_squared_error = "mse", mean_absolute_error = "mae", threshold_otsu = "threshold",
    logisticregression = "logistic_regression", logistic = "logistic_regression", standardscaler = "standard_scaler",
    minmaxscaler = "min_max_scaler", svc = "logistic_regression", svm = "logistic_regression", linearsvc = "logistic_regression",
    labelpropagation = "label_propagation", labelspreading = "label_spreading",
  },
  tensorboard = { add_scalar = "board:scalar(tag, value, step)", add_image = "board:image(tag, x, step)",
    add_images = "board:image(tag, x, step)", add_histogram = "board:histogram(tag, x, step)", add_text = "board:text(tag, text, step)" },
  ["ms.json"] = { load = "decode", loads = "decode", parse = "decode", dump = "encode", dumps = "encode", stringify = "encode",
    read = "decode", write = "encode" },
  ["ms.meter"] = { average = "mean", averagemeter = "mean", avg = "mean", confusion_matrix = "confusion" },
  ["ms.plot"] = { plot = "lines", line = "lines", show = "=each figure is one call: plot.lines{ y, file = \"a.png\" }",
    savefig = "=each figure is one call: plot.lines{ y, file = \"a.png\" }", figure = "lines", imshow = "ms.image.save(path, x)",
    histogram = "hist", bar = "hist", scatterplot = "scatter",
    boxplot = "box", confusion = "heatmap" },
  ["ms.image"] = { imread = "load", open = "load", read = "load", imwrite = "save", write = "save", save_image = "save",
    make_grid = "grid", hstack = "beside", vstack = "above", hconcat = "beside", vconcat = "above", show = "save", imsave = "save" },
}

-- Options: ours -> what they are called elsewhere. A foreign name may stand for several of ours: the one that the function at hand has.
local OPTIONS = {
  batch = "batch_size batchsize batches bs", lr = "learning_rate rate eta", weight_decay = "l2 decay", gamma = "decay factor",
  betas = "beta1 beta2 beta", eps = "epsilon", parameters = "params", groups = "param_groups", p = "rate prob probability",
  dim = "axis dims axes", dims = "axis dim axes n_components", keepdim = "keepdims keep_dims", dtype = "type data_type",
  device = "map_location gpu cuda", correction = "ddof", low = "min", high = "max", transform = "collate_fn", data = "root path dir folder",
  out = "dir folder output logdir log_dir", k = "n_neighbors neighbors neighbours", trees = "n_estimators estimators n_trees",
  clusters = "k n_clusters", components = "n_components", max_iter = "iterations n_iter", iterations = "max_iter n_iter",
  seed = "random_state", min_leaf = "min_samples_leaf", min_split = "min_samples_split", test = "test_size", bins = "n_bins bin",
  colour = "color colors c", class = "c labels", label = "labels", size = "figsize kernel shape",
  file = "filename fname path savefig output save",
  xrange = "xlim", yrange = "ylim", zrange = "vmin vmax", range = "vmin vmax", annotate = "annot", columns = "cols nrow ncols",
  padding = "pad", factor = "scale", negative_slope = "slope alpha", stride = "strides", bias = "use_bias",
  classes = "num_classes n_classes",
  epochs = "epoch max_epochs n_epochs num_epochs", validation = "val valid validation_data val_data test val_loader",
  train = "train_loader train_data", loss = "criterion loss_fn", optimizer = "optim", lr_scheduler = "scheduler",
  gradient_clip_val = "clip clip_grad", log_target = "log_targets", names = "name",
}
-- Where there is nothing of the kind, a sentence.
local NO_OPTIONS = { num_workers = "no workers are to be set", workers = "no workers are to be set",
  pin_memory = "it is not needed", persistent_workers = "it is not needed", alpha = "write x:add(y * 2)",
  train = "both parts come together: local train, test = ...", split = "all parts come together: local train, test = ...",
  images = "images and labels come by position: { x, y }", callbacks = "?fit tells of its hooks" }

local FOREIGN = {}
for ours, list in pairs(OPTIONS) do
  for other in list:gmatch "%S+" do
    FOREIGN[other] = FOREIGN[other] or {}
    table.insert(FOREIGN[other], ours)
  end
end

-- "; did you mean batch?" for an option that is called otherwise elsewhere, or nil. known: the names there are, as a set.
function names.option(key, known)
  local lower = type(key) == "string" and key:lower()
  for _, name in ipairs(FOREIGN[lower] or {}) do
    if known[name] then return ("; did you mean %s?"):format(name) end
  end
  return NO_OPTIONS[lower] and "; " .. NO_OPTIONS[lower]
end

-- "BatchNorm2d" -> "batch_norm2d"
local function snake(key)
  return (key:gsub("(%l)(%u)", "%1_%2"):gsub("(%u)(%u%l)", "%1_%2"):lower())
end

-- The fields of a table that a user may mean: no internal ones, those of tables that fill themselves included (their metatable's __dir).
local function known(t)
  local list, meta = {}, debug.getmetatable(t)
  for _, key in ipairs(type(t) == "table" and text.keys(t) or {}) do
    if key:sub(1, 1) ~= "_" then list[#list + 1] = key end
  end
  if meta and type(meta.__dir) == "function" then
    for _, key in ipairs(meta.__dir(t)) do list[#list + 1] = key end
  end
  return list
end

local function contains(list, key)
  for _, k in ipairs(list) do
    if k == key then return true end
  end
end

-- Where else in the library the name is: "nn.linear", or nil.
local ELSEWHERE = { "nn", "optim", "ml", "data", "transforms", "plot", "image" }
local function elsewhere(where, key)
  local ms = package.loaded.mascon
  for _, part in ipairs(type(ms) == "table" and ELSEWHERE or {}) do
    if where ~= "ms." .. part then
      local t = ms[part]
      if type(t) == "table" and rawget(t, key) ~= nil then return ("ms.%s.%s"):format(part, key) end
    end
  end
end

-- The end of an error message for a name that `where` ("ms.plot", "tensor") lacks; list: the names it has. "" when nothing is near.
function names.hint(where, key, list)
  local phrases, prefix = PHRASES[where] or {}, where == "tensor" and "x:" or where .. "."
  local said = phrases[key:lower()] or phrases[(key:lower():gsub("_+$", ""))]
  if said and said:sub(1, 1) == "=" then return "; " .. said:sub(2) end
  if said then
    return ("; did you mean %s%s?"):format(said:find "[.:{#(= ]" and "" or prefix, said)
  end
  local plain = snake(key)
  if plain ~= key and contains(list, plain) then return ("; did you mean %s%s?"):format(prefix, plain) end
  local twin = where ~= "tensor" and elsewhere(where, key)
  if twin then return ("; did you mean %s?"):format(twin) end
  for _, k in ipairs(list) do -- PyTorch's ReLU, MSELoss, LogSoftmax: the same letters
    if k:gsub("_", "") == key:gsub("_", ""):lower() then return ("; did you mean %s%s?"):format(prefix, k) end
  end
  local other = where ~= "tensor" and elsewhere(where, plain)
  if other then return ("; did you mean %s?"):format(other) end
  return text.hint(key, list, where == "tensor" and "" or where .. ".")
end

-- Raise for a name that table t, known to users as `where`, does not have.
function names.unknown(where, key, t)
  if type(key) ~= "string" then options.raise("%s has no entry [%s]; its names are texts", where, tostring(key)) end
  options.raise("%s has no '%s'%s", where, key, names.hint(where, key, known(t)))
end

-- Is a method running whose self is a tensor? Then it was called with a dot. level: of the function that looked the name up.
local function called_with_a_dot(level)
  local info = debug.getinfo(level + 1, "u")
  local name, value
  if info and info.nparams > 0 then name, value = debug.getlocal(level + 1, 1) end
  return name == "self" and type(value) == "userdata"
end

-- As names.unknown for a field or method of a tensor; list: the names there are.
function names.unknown_of_tensor(key, list)
  if called_with_a_dot(3) then
    options.raise("self is a tensor here, it has no '%s'; a method is called with a colon: m:forward(x)", key)
  end
  options.raise("a tensor has no field or method '%s'%s", key, names.hint("tensor", key, list))
end

-- Give table t, known to users as `where`, an error with a hint for names it does not have. Gives t.
function names.guard(t, where)
  return setmetatable(t, { __index = function(_, key) names.unknown(where, key, t) end })
end

names.phrases = PHRASES
return names
