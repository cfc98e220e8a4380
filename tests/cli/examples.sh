# The programs of examples/: as built here, and compiled against an installed tracetwin through pkg-config.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
small_trace
build=$(dirname "$TRACETWIN")
examples=$build/examples

expect_exit 0 "$examples/events" small d
expect_stdout '9265 events of 132 types, by 10 threads on 2 CPUs, in 0.248 s'
expect_stderr ''
expect_exit 1 "$examples/events" small d
expect_stdout ''
expect_stderr 'events: d: already exists (-f overwrites)'
expect_exit 4 "$examples/events" nowhere e
expect_stderr 'events: nowhere: No such file or directory'
expect_exit 0 "$examples/twin" small out 2000
expect_stdout "$(cat "$harness_output/stdout")"
grep -Eq '^9265 real events, 2000 synthetic ones, [0-9.]+ % of them repaired: out/twin.csv$' "$harness_output/stdout" || fail "says otherwise"
[ "$(wc -l <out/twin.csv)" = 2001 ] || fail "$(wc -l <out/twin.csv) lines"
expect_exit 2 "$examples/twin" small
expect_stderr 'usage: twin TRACE FOLDER EVENTS'
expect_exit 0 "$SOURCE_DIR/examples/twin.sh" small steps 2000 --generator markov
[ "$(babeltrace2 steps/ctf/kernel | wc -l)" = 2000 ] || fail "not 2000 events"

# Installed: the command, the library, its headers, the manual, and pkg-config's word on how to use them.
expect_exit 0 cmake --install "$build" --prefix "$T/prefix"
for file in bin/tracetwin include/tracetwin/tracetwin.h share/man/man1/tracetwin.1; do
  [ -s "prefix/$file" ] || fail "$file is not installed"
done
library=$(dirname "$(find "$T/prefix" -name 'libtracetwin.so.0')")
export PKG_CONFIG_PATH=$library/pkgconfig
expect_exit 0 pkg-config --modversion tracetwin
expect_stdout "$("$TRACETWIN" --version | cut -d' ' -f2)"
sanitize=$(sed -n 's/^TT_SANITIZE:STRING=\(..*\)/-fsanitize=\1/p' "$build/CMakeCache.txt")
for name in events twin; do
  # shellcheck disable=SC2046,SC2086 # words
  expect_exit 0 cc -std=c17 -D_GNU_SOURCE -Wall -Wextra -Werror $sanitize -o "$name" "$SOURCE_DIR/examples/$name.c" \
    $(pkg-config --define-variable=prefix="$T/prefix" --cflags --libs tracetwin)
done
expect_exit 0 env LD_LIBRARY_PATH="$library" ./events small again
expect_stdout '9265 events of 132 types, by 10 threads on 2 CPUs, in 0.248 s'
diff -r d again
# The installed command finds its library by itself; C++ takes the headers.
expect_exit 0 prefix/bin/tracetwin --version
expect_stdout "$("$TRACETWIN" --version)"
# Only functions of the public headers are exported.
nm -D --defined-only "$library/libtracetwin.so.0" | awk '$2 == "T" { print $3 }' | sort >exported
cat "$T"/prefix/include/tracetwin/*.h | tr '\n' ' ' | grep -o 'TT_API [^;]*' | grep -o 'tt_[a-z0-9_]*(' | tr -d '(' | sort -u >declared
comm -23 exported declared >hidden
[ ! -s hidden ] || fail "exported, but in no header: $(xargs <hidden)"
comm -13 exported declared >missing
[ ! -s missing ] || fail "in a header, but not exported: $(xargs <missing)"
