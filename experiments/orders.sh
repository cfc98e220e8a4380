#!/bin/bash
# How much of the past `markov` should look at: loss (leave-one-out on the training events) and val_loss
# of each order, nats per event, as CSV on stdout.
#
#   experiments/orders.sh SPLIT...
#
# SPLIT: a folder of `tracetwin split`. Environment: TRACETWIN (the command).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
tracetwin=${TRACETWIN:-$here/../build/release/tracetwin}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo trace,order,loss,val_loss
for split; do
  for order in 1 2 3 4 5 6; do
    "$tracetwin" train "$split/train" --val "$split/val" -o "$work/model" -f -q --generator markov \
      --context "$order" --json |
      python3 -c 'import json, sys; d = json.load(sys.stdin); print(*sys.argv[1:], d["loss"], d["val_loss"], sep=",")' \
        "$(basename "$split" .split)" "$order"
  done
done
