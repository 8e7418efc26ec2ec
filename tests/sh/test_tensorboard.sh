#!/usr/bin/env bash
# What a run leaves for TensorBoard, read back by TensorBoard's own reader. It wants a Python that has the package tensorboard:
# $MASCON_TENSORBOARD, else python3; without one the test is skipped.
set -u
python=${MASCON_TENSORBOARD:-python3}
if ! "$python" -c 'import tensorboard' 2>/dev/null; then
  echo "skipped: $python has no package tensorboard (pip install tensorboard; MASCON_TENSORBOARD=.../bin/python)"
  exit 0
fi
out=$TMPDIR/run
cat >"$TMPDIR/run.lua" <<'EOF'
local ms = require "mascon"
local run = ms.run(arg[1], { options = { lr = 0.125, nest = true, name = "adam" }, tensorboard = true })
for e = 1, 3 do
  run:epoch({ epoch = e, step = e * 10, loss = 1 / e }, "one")
  run:epoch({ epoch = e, step = e * 20, loss = ms.tensor(2 / e) }, "two", e)
end
local board = run:board "one"
board:image("picture", ms.rand { 3, 4, 5 }, 7):histogram("weights", ms.tensor { 1, 2, 3 }, 8):text("note", "hello", 9)
run:summary { loss = 0.25 }
run:close()
local again = ms.tensorboard(arg[1] .. "/one", { resume = 20 })
again:scalar("loss", 5, 20):close()
EOF
"$MASCON" "$TMPDIR/run.lua" "$out" || exit 1
"$python" - "$out" <<'EOF'
import logging, sys, warnings
warnings.simplefilter('ignore')
logging.disable(logging.CRITICAL)
from tensorboard.backend.event_processing import event_multiplexer, plugin_event_multiplexer
from tensorboard.plugins.hparams import plugin_data_pb2
m = event_multiplexer.EventMultiplexer()
m.AddRunsFromDirectory(sys.argv[1])
m.Reload()
bad = 0
def check(what, got, want):
    global bad
    bad += got != want
    print(('ok ' if got == want else 'not ok ') + what + ('' if got == want else f': {got}, expected {want}'))
curve = lambda run, tag: [(s.step, round(s.value, 4)) for s in m.Scalars(run, tag)]
check('the parts of a run are runs', sorted(m.Runs()), ['.', 'one', 'two'])
check('what a resumed run takes back is dropped', curve('one', 'loss'), [(10, 1.0), (20, 5.0)])
check('parts have steps of their own', curve('two', 'loss'), [(1, 2.0), (2, 1.0), (3, 0.6667)])
image = m.Images('one', 'picture')[0]
check('images', (image.step, image.width, image.height), (7, 5, 4))
h = m.Histograms('one', 'weights')[0]
check('histograms', (h.step, h.histogram_value.num, h.histogram_value.sum), (8, 3.0, 6.0))
t = m.Tensors('one', 'note')[0]
check('texts', (t.step, t.tensor_proto.string_val[0]), (9, b'hello'))
p = plugin_event_multiplexer.EventMultiplexer()
p.AddRunsFromDirectory(sys.argv[1])
p.Reload()
content = p.GetAccumulator('.').PluginTagToContent('hparams')
parse = lambda tag: plugin_data_pb2.HParamsPluginData.FromString(content[tag])
start = parse('_hparams_/session_start_info').session_start_info
values = {k: getattr(v, v.WhichOneof('kind')) for k, v in start.hparams.items()}
check('hyper-parameters', values, {'lr': 0.125, 'nest': True, 'name': 'adam'})
check('and the figures beside them', [i.name.tag for i in parse('_hparams_/experiment').experiment.metric_infos], ['loss'])
check('of a run that has ended well', parse('_hparams_/session_end_info').session_end_info.status, 1)
sys.exit(bad > 0)
EOF
