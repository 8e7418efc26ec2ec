#!/usr/bin/env bash
# Every single allocation that fails in turn, in training, saving and loading: some minutes.
set -u
cd "$(dirname "$0")/../.." || exit 2
ALLOC_EVERY=1 ALLOC_OFFSET=1 exec bash tests/sh/test_alloc.sh
