#!/bin/sh
# Every header compiles alone.
set -eu
cd "$(dirname "$0")/.."
flags="-std=gnu17 -fopenmp -D_GNU_SOURCE -Isrc -Iinclude -fsyntax-only -xc"
git ls-files 'src/*.h' 'include/*.h' 'cli/*.h' | while read -r header; do
  # shellcheck disable=SC2086 # a list of words
  gcc $flags "$header" || { echo "$header does not compile alone" >&2; exit 1; }
done
echo "headers: every one compiles alone"
