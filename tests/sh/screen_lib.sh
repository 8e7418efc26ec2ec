# What tests/terminal/*.sh share: the program in a real terminal (tmux), keys in, screen out. Sourced with $program and $work set.
# shellcheck shell=sh
echo 'leak:wcsdup' >"$work/lsan" # el_end does not free the names given to EL_ADDFN; only `make san` looks
socket=$work/tmux
failed=0
sessions=0
trap 'tmux -S "$socket" kill-server 2>/dev/null; rm -rf "$work"' EXIT INT TERM
if ! command -v tmux >/dev/null; then
  echo "skipped: $0 (no tmux)"
  exit 0
fi

t() { tmux -S "$socket" "$@"; }
screen() { t capture-pane -p -J 2>/dev/null; }
key() { t send-keys "$@" 2>/dev/null; }
type_line() { key -l -- "$1" && key Enter; }
clear_screen() { key C-l && sleep 0.1; }

# Wait until the screen has a line that matches the pattern (basic regular expression): 5 seconds at most, and less
# once something has failed.
patience=100
[ -z "${SAN:-}${STRESS:-}" ] || patience=600
wait_for() {
  i=0
  while [ $i -lt "$patience" ]; do
    screen | grep -q -- "$1" && return 0
    sleep 0.05
    i=$((i + 1))
  done
  return 1
}

# begin LINE: type a line that does not end, and wait until it runs: a Ctrl-C before would only drop the line.
begun=0
begin() {
  begun=$((begun + 1))
  type_line "print 'begun $begun' $1"
  wait_for "^begun $begun\$"
}

# check NAME PATTERN: the screen shows the pattern soon.
check() {
  if wait_for "$2"; then
    echo "ok $1"
  else
    echo "not ok $1"
    echo "# expected: $2"
    screen | sed 's/^/# /' | grep -v '^# *$'
    failed=1
    patience=20
  fi
}

# open COMMAND: in a fresh terminal of 100 x 30, in the folder $work.
open() {
  t kill-server 2>/dev/null
  sessions=$((sessions + 1))
  socket=$work/tmux$sessions # a new server each time: the old one may not be gone yet
  t -f /dev/null new-session -d -x 100 -y 30 -c "$work" \
    "export TERM=screen LC_ALL=C.UTF-8 XDG_STATE_HOME=$work/state XDG_CONFIG_HOME=$work/config LSAN_OPTIONS=suppressions=$work/lsan:print_suppressions=0; $1; echo left with code \$?; exec sleep 60"
}
