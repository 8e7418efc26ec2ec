-- What ?data.NAME says: data sets, loaders, files. The form is told in docs.lua. `folder` in examples: a folder of the user's.
return [==[
data: ms.data, data sets and files
  A set has ds:loader { batch = 64, shuffle = true } for loops, ds:map(f), ds:subset, ds:split. ?ds and ?loader have their methods.
  > local ds = data.tensors { ms.rand { 10, 4 }, ms.randint(1, 2, { 10 }) }
  > for x, y in ds:loader { batch = 5, shuffle = true } do print(x.shape, y.shape) end
data.tensors { images, labels, classes =, device =, normalize =, name = } -> data set
  images: N x anything, u8 (batches hold 0..1) or floating (as they are); labels: whole numbers from 1, or none; classes: the names of 1, 2,
  ...; normalize: { mean =, std = }, numbers or one for each channel.
  > data.tensors { ms.rand { 10, 1, 8, 8 }, ms.randint(1, 2, { 10 }), classes = { "cat", "dog" } }
data.mnist { data =, device =, limit =, normalize =, download = true } -> training set, test set
  Digits: images N x 1 x 28 x 28 u8, labels 1..10 (the digit is classes[label]). Looked for in the folder `data`, $MASCON_DATA, the cache
  folder and /usr/share/datasets; else downloaded and checked, unless download = false. limit: the first so many, or { train, test }.
  ~ local train, test = data.mnist { limit = 100 }
data.fashion_mnist { data =, device =, limit =, normalize =, download = true } -> training set, test set
  Clothes, of the form of data.mnist.
  ~ local train, test = data.fashion_mnist { limit = 100 }
data.kmnist { data =, device =, limit =, normalize =, download = true } -> training set, test set
  Ten cursive Japanese characters, of the form of data.mnist.
  ~ local train, test = data.kmnist { limit = 100 }
data.svhn { data =, device =, limit =, normalize =, extra = false, prefix = true, download = true } -> training set, test set [, extra set]
  House numbers, N x 3 x 32 x 32 u8, labels 1..10 (the digit is classes[label]). extra: 531,131 easier images as a third set. prefix: where
  the files are not to be had, the first 1,083 images will do.
  ~ local train, test = data.svhn { limit = 100 }
data.scenes { size = 64, data =, split = 0.8, seed = 1, ... } -> training set, test set
  The 8 outdoor scenes, u8 N x 3 x size x size. Other options as data.folder.
  ~ local train, test = data.scenes { size = 32 }
data.folder(path [, { size =, channels = 3, fit = "crop", pattern =, classes =, limit =, cache =, device =, normalize =,
    name = }]) -> data set
  The PNG and JPEG files in a folder: each of its folders is a class, or the first capture of `pattern` in the file's name is ("^(%a+)_").
  size (a number or { H, W }): scaled to fill it and the middle kept (fit = "crop"), or stretched ("stretch"). In memory, beyond 1 GB or
  with
  cache = false decoded ahead by all cores. ds:file(i) is the name of a sample's file.
  ~ local ds = data.folder("photos", { size = 64 })
data.npz(path [, { device =, limit =, normalize =, classes =, base = 0, channels_last = false, max_bytes =, name = }]) -> training set,
    test set
  From the arrays x_train, y_train, x_test, y_test of a NumPy .npz (nil for a part that is not there). Labels from `base` on become 1, 2,
  ...
  > data.write_npz(folder .. "/a.npz", { x_train = ms.rand { 4, 2, 2 }, y_train = ms.tensor({ 0, 1, 0, 1 }, { dtype = "i64" }) })
  > data.npz(folder .. "/a.npz")
data.find(which [, options]) -> training set, test set
  "mnist", "fashion", or "auto": MNIST if it is found, else Fashion-MNIST; what the option `data` names comes before both.
  ~ local train, test = data.find("auto", { limit = 100 })
data.locate(name [, { data =, also = {}, hint = "" }]) -> the path of a file in one of the folders where sets are looked for
  Raises with where it looked, and with the hint.
  > pcall(data.locate, "no such file")
data.download(url, path [, { md5 =, sha256 =, size =, connect_timeout = 15, stall_timeout = 30, label = }]) -> path
  A file from the web, whole and right or not at all; goes on where it was cut off. url: an address, or a list that is tried in order. A
  file
  that is there and has the digest given is taken as it is. Raises with what each address said, and where MASCON_OFFLINE=1.
  > pcall(data.download, "http://localhost:1/a", folder .. "/a")
data.digest(path, "md5" or "sha256") -> the hexadecimal digits of a file's digest
  > data.write_npy(folder .. "/d.npy", ms.ones { 2 })
  > #data.digest(folder .. "/d.npy", "sha256")
data.read_csv(path [, { delimiter =, header =, missing = "nan", dtype = "f32", text =, columns =, codes = false,
    max_bytes = }]) -> numbers, texts, names
  The columns of numbers as one tensor rows x columns, the others as lists of texts by name, the names of the columns of numbers. header: is
  the first line one of names (default: if none of its fields is a number); missing fields are NaN, or an error ("error"); columns: only
  these; codes: texts as classes, with a fourth result, their names. Gzipped files too. Errors name line and column.
  > data.write_csv(folder .. "/a.csv", ms.rand { 3, 2 }, { names = { "a", "b" } })
  > data.read_csv(folder .. "/a.csv").shape
data.write_csv(path, x [, { names =, delimiter = "," }])
  A tensor rows x columns, or a list of { name, values }; gzipped when the name ends in .gz. Written whole or not at all.
  > data.write_csv(folder .. "/b.csv", { { "loss", { 1, 0.5 } }, { "note", { "a", "b" } } })
data.read_idx(path [, { max_bytes = }]) -> tensor of an IDX file (gzipped or not)
  > data.write_idx(folder .. "/a.idx", ms.ones { 2, 3, dtype = "u8" })
  > data.read_idx(folder .. "/a.idx").shape
data.write_idx(path, tensor [, { type = }])
  Gzipped when the name ends in .gz. type: u8, i8, i16, i32, f32, f64, if it is not that of the tensor.
  > data.write_idx(folder .. "/b.idx", ms.ones { 2, 3, dtype = "u8" })
data.read_mat(path [, { names =, permute =, limit =, partial =, max_bytes = }]) -> values by name, names, notes
  A MATLAB file: numbers as tensors of MATLAB's shape, text, cells, structures (of version 7.3 numbers and text). names: only these;
  permute:
  { X = { 4, 3, 1, 2 } }, the order of dimensions; limit: the first so many of the last dimension.
  > pcall(data.read_mat, "no such file")
data.write_npy(path, tensor): NumPy's .npy
  > data.write_npy(folder .. "/a.npy", ms.ones { 2 })
data.write_npz(path, tensors [, { compress = false }]): NumPy's .npz
  tensors: { name = tensor }, or a list of { name, tensor }.
  > data.write_npz(folder .. "/b.npz", { x = ms.ones { 2 } }, { compress = true })
data.random_sampler(ds or n [, { replacement = false, num_samples =, seed = }]) -> sampler
  Positions in random order; with replacement each is drawn from all of them. For ds:loader { sampler = s }.
  > data.random_sampler(10, { num_samples = 5 })
data.sequential_sampler(ds or n) -> sampler: the positions 1..n in order
  > data.sequential_sampler(10)
data.subset_random_sampler(positions [, { seed = }]) -> sampler: these positions, in random order
  > data.subset_random_sampler({ 1, 3, 5 })
data.weighted_random_sampler(weights, num_samples [, { replacement = true, seed = }]) -> sampler
  Positions drawn by weights, one for each sample, 0 or more.
  > data.weighted_random_sampler({ 1, 1, 8 }, 10)
sampler: what gives a loader its positions: ds:loader { sampler = s }; a list, a tensor or an iterator of yours will do, too
  > data.sequential_sampler(3)
sampler:iter() -> an iterator of positions from 1
  > for i in data.sequential_sampler(3):iter() do print(i) end
ds: a data set
  #ds, ds[i] (the i-th image, f32), ds.labels (i64), ds.raw (images as they are held), ds.classes, ds.device, ds.name, ds.source.
  > local ds = data.tensors { ms.rand { 10, 4 }, ms.randint(1, 2, { 10 }) }
  > #ds, ds[1].shape, ds.labels.dtype
ds.labels: the labels of all samples, i64 from 1 on; nil where there are none
  > data.tensors({ ms.rand { 3, 4 }, ms.randint(1, 2, { 3 }) }).labels.dtype
ds.raw: the images as they are held, u8 or f32, in this set's order
  > data.tensors({ ms.rand { 3, 4 } }).raw.shape
ds.classes: list of the names of classes 1, 2, ...; false where there are none
  > data.tensors({ ms.rand { 2, 4 }, ms.randint(1, 2, { 2 }), classes = { "cat", "dog" } }).classes[2]
ds.device: the device that batches are on
  > data.tensors({ ms.rand { 3, 4 } }).device
ds.normalize: { mean =, std = } that batches are normalized by, or false
  > data.tensors({ ms.rand { 3, 4 }, normalize = { mean = 0.5 } }).normalize.mean
ds.name: the name of the set, or false
  > data.tensors({ ms.rand { 3, 4 }, name = "mine" }).name
ds.source: the folder that it was found in, or false
  > data.tensors({ ms.rand { 3, 4 } }).source
ds:loader { batch = 64, shuffle = false, drop_last = false, seed =, sampler =, normalize =, device =, transform = } -> loader
  for x, y in ds:loader { batch = 64, shuffle = true } do: batches x (f32) and y (i64 labels). seed: the order of its walks; sampler:
  positions of its own; transform: one of ms.transforms, or a function t(x, y) -> x, y.
  > #data.tensors({ ms.rand { 10, 4 } }):loader { batch = 4 }
ds:subset(first, last) -> data set
  The samples of a range (negative: from the end), ds:subset { 3, 9, 11 } those at these positions; a bool tensor chooses where it is true.
  Shares the samples with ds.
  > #data.tensors({ ms.rand { 10, 4 } }):subset(1, 5)
ds:split(how [, { seed =, shuffle = true }]) -> set, set, ...
  All samples, each in one of the sets. how: a list of fractions or of counts, or the fraction or count of the first of two.
  > local train, val = data.tensors({ ms.rand { 10, 4 } }):split(0.8, { seed = 1 })
  > #train, #val
ds:transform(t) -> data set: the same samples, whose batches go through t, one of ms.transforms or a function t(x, y, keys) -> x,
    y; false: none
  > data.tensors({ ms.rand { 10, 1, 8, 8 } }):transform(T.random_horizontal_flip())
ds:map(f [, { batch = 1000, device =, normalize = }]) -> what f(x, y) gives, joined, and the labels
  Batch by batch, without gradients: local codes, labels = test:map(encoder).
  > data.tensors({ ms.rand { 10, 4 }, ms.randint(1, 2, { 10 }) }):map(function(x) return x * 2 end)
ds:batch([selection] [, { normalize =, device = }]) -> x, y of all samples, or of those that ds:subset's arguments choose, as one batch
  > data.tensors({ ms.rand { 10, 4 } }):batch(1, 5).shape
ds:images([selection]) -> the images as batches have them: f32, on the set's device
  > data.tensors({ ms.rand { 10, 1, 8, 8 } }):images(1, 3).shape
ds:pixels([selection]) -> one row of numbers for each sample, on the CPU: what ml takes
  > data.tensors({ ms.rand { 10, 1, 8, 8 } }):pixels().shape
ds:get(i) -> image, label, name of its class
  > data.tensors({ ms.rand { 10, 4 }, ms.randint(1, 2, { 10 }) }):get(3)
ds:file(i) -> the file that the i-th sample comes from; nil where the set is not from files
  > data.tensors({ ms.rand { 10, 4 } }):file(1)
loader: a loader: for x, y in loader do, as often as wanted; #loader is the number of batches
  > #data.tensors({ ms.rand { 10, 4 } }):loader { batch = 5 }
loader:iter() -> a walk of its own, for two loops over one loader at the same time
  > for x in data.tensors({ ms.rand { 10, 4 } }):loader({ batch = 5 }):iter() do print(x.shape) end
loader:cycle() -> an iterator without an end, walk after walk
  > data.tensors({ ms.rand { 10, 4 } }):loader({ batch = 5 }):cycle()().shape
loader:map(f) -> ds:map as the loader walks, shuffled and transformed; the labels come in that order too
  > data.tensors({ ms.rand { 10, 4 } }):loader({ batch = 5 }):map(function(x) return x:sum(2) end).shape
loader:examples() -> list of { x, y }: one batch of each size that a walk has, for ms.rehearse
  > #data.tensors({ ms.rand { 10, 4 } }):loader({ batch = 4 }):examples()
loader:state_dict() -> where it stands, as tensors by name, in the middle of a walk too
  > data.tensors({ ms.rand { 10, 4 } }):loader({ batch = 5 }):state_dict().samples
loader:load_state_dict(state) -> the loader: the next loop over it gives the rest of that walk
  > local loader = data.tensors({ ms.rand { 10, 4 } }):loader { batch = 5 }
  > loader:load_state_dict(loader:state_dict())
]==]
