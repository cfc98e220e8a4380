#!/bin/bash
# The steps of `tracetwin run` one by one: a CTF kernel trace in, FOLDER/ctf/kernel out, with the distances of the twin
# from what real traces obey, before and after repair.
#
# usage: twin.sh TRACE FOLDER EVENTS [OPTION of `tracetwin train`...]
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: twin.sh TRACE FOLDER EVENTS [OPTION...]" >&2; exit 2; }
trace=$1 folder=$2 events=$3
shift 3
tracetwin=${TRACETWIN:-tracetwin}
mkdir "$folder"

"$tracetwin" import "$trace" -o "$folder/dataset"
"$tracetwin" split "$folder/dataset" -o "$folder/split"
# Everything is learned from train alone; val and test stay unseen.
"$tracetwin" constraints "$folder/split/train" -o "$folder/constraints.json"
"$tracetwin" train "$folder/split/train" --val "$folder/split/val" -o "$folder/model" "$@"
"$tracetwin" generate "$folder/model" -o "$folder/raw" --events "$events"
for dataset in split/test raw; do
  echo "$dataset:"
  # Exit code 3: it ran, and the dataset does break constraints.
  "$tracetwin" check "$folder/$dataset" --constraints "$folder/constraints.json" || [ $? = 3 ]
done
"$tracetwin" repair "$folder/raw" --constraints "$folder/constraints.json" -o "$folder/twin"
"$tracetwin" export "$folder/twin" -o "$folder/ctf" --format ctf
