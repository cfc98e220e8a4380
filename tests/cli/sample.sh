# The sample trace: what data/README.md says of it holds, and unpacking it is safe to repeat.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
unpack=$SOURCE_DIR/scripts/unpack-sample.sh

[ "$(stat -c %s "$SOURCE_DIR/data/sample.tar.xz")" -lt 3000000 ] || fail "3 MB or more"
expect_exit 2 "$unpack"
expect_exit 0 "$unpack" "$T/a"
[ -f a/trace/metadata ] || fail "no CTF folder"
before=$(stat -c '%i %Y' a/trace a/trace/metadata)
expect_exit 0 "$unpack" "$T/a"
[ "$(stat -c '%i %Y' a/trace a/trace/metadata)" = "$before" ] || fail "unpacked twice"

# several at once: one folder, nothing left over
for i in 1 2 3; do "$unpack" "$T/b" & done
wait
[ "$(ls -A b | tr '\n' ' ')" = ".trace.lock trace trace.sha256 " ] || fail "b holds: $(ls -A b)"
diff -r a/trace b/trace

babeltrace2 a/trace >lines
[ "$(wc -l <lines)" = 286265 ] || fail "$(wc -l <lines) lines"
[ "$(grep -vc '+[^)]*) perf_[a-z0-9]*: ' lines)" = 285128 ] || fail "not 285128 tracepoint events"
for kind in 'tar cp dd' 'make xargs expr' 'xz awk python3 openssl'; do
  for name in $kind; do grep -qF "next_comm = \"$name\"" lines || fail "no $name"; done
done

# names are neutral already: nothing is left to replace; and the decoder arrives at the end of every packet
cp -r a/trace again
expect_exit 0 "$SOURCE_DIR/data/neutralise.py" again
diff -r a/trace again
# a name that is not kept is replaced everywhere, by one of the same length; all else stays
sed 's/ tail tar / tail /' "$SOURCE_DIR/data/neutralise.py" >without-tar.py
expect_exit 0 python3 without-tar.py again
babeltrace2 again >lines-again
! grep -qF 'comm = "tar"' lines-again || fail "tar is still there"
sed 's/comm = "tar"/comm = "s01"/g; s|/bin/tar"|/bin/s01"|g' lines >expected
diff expected lines-again | head -5 >difference || true
[ ! -s difference ] || fail "$(cat difference)"

# a damaged archive: exit 4 and nothing unpacked
mkdir -p copy/data copy/scripts
cp "$unpack" copy/scripts/
cp "$SOURCE_DIR"/data/sample.tar.xz* copy/data/
printf x | dd of=copy/data/sample.tar.xz bs=1 seek=1000 conv=notrunc status=none
expect_exit 4 copy/scripts/unpack-sample.sh "$T/c"
expect_stderr 'does not match its sum'
[ ! -e c ] || fail "c is there"
