-- What ?plot.NAME and ?image.NAME say. The form is told in docs.lua. `folder` in examples: a folder of the user's.
return [==[
plot: ms.plot, figures, drawn by gnuplot
  Each takes one table. With file = "loss.png" (or .svg) the figure is written there; without it, it is drawn with characters in the
  terminal.
  Options of all: title, caption (a sentence below), xlabel, ylabel, size = { width, height } in pixels, logx, logy, xrange = { low, high },
  yrange, legend = false or where ("top left", "outside right"; else where it covers least), equal = true (a unit as long on one axis as on
  the other). Numbers: lists or tensors. Kinds: lines, scatter, hist, box, heatmap, tiles (pictures), panels (several figures).
  ~ ms.plot.lines { { 3, 2, 1.5 }, title = "loss", file = "loss.png" }
plot.lines { series, ..., x =, title =, xlabel =, ylabel =, logy =, file = }
  Curves. A series is a list (x counts from 1) or { y = ..., x = ..., label = ..., points = true, dashed = true, colour = "#..." }.
  ~ ms.plot.lines { { y = { 3, 2, 1.5 }, label = "training" }, { y = { 3, 2.2, 1.9 }, label = "test" }, xlabel = "epoch" }
plot.scatter { x =, y =, points =, class =, classes =, names =, pointsize =, title =, file = }
  Points: x and y, or points = an N x 2 tensor; class = N labels gives each class a colour and a shape, classes[label] names them. names =
  true writes the names among the points (as it is for 3 to 12 classes), false only in the legend.
  ~ ms.plot.scatter { points = ms.randn { 50, 2 }, class = ms.randint(1, 2, { 50 }), file = "codes.png" }
plot.hist { values, ..., bins = 50, threshold =, marks =, title =, file = }
  How values are spread: lists or { values, label = ..., colour = ... }; threshold = x draws a line there (a number or { x, label = ... }).
  ~ ms.plot.hist { ms.randn { 1000 }, bins = 40, threshold = 2 }
plot.box { values, ..., title =, file = }
  Quartiles and outliers of lists of values side by side, each an array or { values, label = ... }.
  ~ ms.plot.box { { ms.randn { 100 }, label = "a" }, { ms.randn { 100 } * 2, label = "b" } }
plot.heatmap { rows, xlabels =, ylabels =, annotate = false, format =, title =, file = }
  A matrix in colours, the first row at the top; annotate = true writes the numbers in, by `format`.
  ~ ms.plot.heatmap { ms.rand { 3, 3 }, annotate = true, file = "confusion.png" }
plot.tiles { pictures, captions =, rows =, columns =, scale = 3, padding = 4, range =, title =, file = }
  Pictures N x C x H x W or N x H x W (u8, or numbers from 0 to 1), or a list of them; captions above, rows = texts at the left; range =
  "auto"
  or { low, high } where they are not from 0 to 1.
  ~ ms.plot.tiles { ms.rand { 4, 1, 8, 8 }, captions = { "a", "b", "c", "d" }, file = "pair.png" }
plot.panels { panel, ..., columns =, title =, size =, file = }
  Figures side by side, each the table that its own function takes, and kind = "lines", "scatter", "hist", "box" or "heatmap".
  ~ ms.plot.panels { { kind = "lines", { 3, 2, 1 } }, { kind = "hist", ms.randn { 100 } }, file = "both.png" }
plot.palette: list of the colours of curves and classes, "#rrggbb"
  > #ms.plot.palette
image: ms.image, picture files and grids of pictures
  > ms.image.save(folder .. "/a.png", ms.rand { 3, 8, 8 })
  > ms.image.load(folder .. "/a.png").shape
image.load(path [, { channels =, max_bytes = }]) -> u8 tensor C x H x W of a PNG or JPEG file
  channels 1..4 converts. It may take 8 times the file and 64 MB of memory, or max_bytes in all.
  > ms.image.save(folder .. "/b.png", ms.rand { 3, 8, 8 })
  > ms.image.load(folder .. "/b.png", { channels = 1 }).shape
image.save(path, picture or pictures [, { columns =, padding = 2, scale = 1, background = 0, range = }])
  A PNG file, written whole or not at all. One picture is H x W or C x H x W with C 1..4, u8 or numbers from 0 to 1; anything else becomes a
  grid (?image.grid).
  > ms.image.save(folder .. "/c.png", ms.rand { 16, 1, 8, 8 }, { columns = 4 })
image.grid(pictures [, { columns =, padding = 2, scale = 1, background = 0, range = }]) -> u8 tensor C x H x W
  pictures: N x C x H x W or N x H x W, C 1 or 3; or a list of pictures or batches. range: { lo, hi } become black and white, "auto": the
  least
  and the greatest number.
  > ms.image.grid(ms.rand { 4, 1, 8, 8 }, { columns = 2 }).shape
image.above(list [, { padding = 0, background = 1 }]) -> u8 tensor C x H x W: pictures of any sizes one above the other
  > ms.image.above({ ms.rand { 3, 8, 8 }, ms.rand { 3, 4, 8 } }).shape
image.beside(list [, { padding = 0, background = 1 }]) -> u8 tensor C x H x W: pictures of any sizes from left to right
  > ms.image.beside({ ms.rand { 3, 8, 8 }, ms.rand { 3, 8, 4 } }).shape
]==]
