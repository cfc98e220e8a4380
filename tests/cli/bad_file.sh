# Datasets, models and constraints that are none, or damaged: exit 4, the file and the cause on stderr, nothing on
# stdout, nothing left behind.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
real_parts
"$TRACETWIN" constraints real/train -o c.json >/dev/null
"$TRACETWIN" train real/train -o model --generator markov -q >/dev/null

refused() { # MESSAGE COMMAND...: the command, given an output where it has one, refuses
  local message=$1 before
  shift
  before=$(ls -A "$T")
  expect_exit 4 "$TRACETWIN" "$@"
  expect_stdout ''
  expect_stderr "tracetwin $1: "
  expect_stderr "$message"
  [ "$(ls -A "$T")" = "$before" ] || fail "left behind: $(ls -A "$T" | tr '\n' ' ')"
}
every_command_refuses_dataset() { # NAME MESSAGE: as its dataset
  refused "$2" info "$1"
  refused "$2" split "$1" -o out
  refused "$2" constraints "$1" -o out
  refused "$2" check "$1" --constraints c.json --json
  refused "$2" repair "$1" --constraints c.json -o out
  refused "$2" train "$1" -o out --generator markov
  refused "$2" train real/train --val "$1" -o out --generator markov
  refused "$2" export "$1" -o out --format csv
  refused "$2" export "$1" -o out --format ctf
  refused "$2" predict --train "$1" --val real/val --test real/test --steps 1
  refused "$2" predict --train real/train --val "$1" --test real/test --steps 1
  refused "$2" evaluate --train real/train --val real/val --test real/test --synthetic "$1" -o out
}
damage() { # NAME: a copy of a dataset, to be damaged
  cp -r real/val "$1"
  echo "$1"
}

every_command_refuses_dataset nowhere nowhere
mkdir empty
every_command_refuses_dataset empty empty
echo text >file
every_command_refuses_dataset file file
d=$(damage cut)/shard-00000
truncate -s -1 "$d/tid.npy"
every_command_refuses_dataset cut cut/shard-00000/tid.npy

d=$(damage long)/shard-00000
echo >>"$d/ret.npy"
refused long/shard-00000/ret.npy info long
d=$(damage missing)/shard-00000
rm "$d/cpu.npy"
refused missing/shard-00000/cpu.npy info missing
d=$(damage type)/shard-00000
sed -i "s/<u2/<i2/" "$d/event.npy"
refused type/shard-00000/event.npy info type
d=$(damage magic)/shard-00000
printf XXXX | dd of="$d/ts.npy" conv=notrunc status=none
refused magic/shard-00000/ts.npy info magic
d=$(damage event)/shard-00000
printf '\377\377' | dd of="$d/event.npy" bs=1 seek=6096 conv=notrunc status=none
refused event/shard-00000/event.npy info event
d=$(damage time)/shard-00000
printf '\377\377\377\377\377\377\377\177' | dd of="$d/ts.npy" bs=1 seek=6096 conv=notrunc status=none
refused time/shard-00000/ts.npy info time
d=$(damage json)
truncate -s 1000 "$d/dataset.json"
refused json/dataset.json info json
d=$(damage version)
sed -i 's/"version": 1/"version": 2/' "$d/dataset.json"
refused version/dataset.json info version
d=$(damage events)
sed -i 's/^ "events": 2859/ "events": 285900000000000000/' "$d/dataset.json"
refused events info events
d=$(damage format)
sed -i 's/tracetwin-dataset/tracetwin-nonsense/' "$d/dataset.json"
refused format/dataset.json info format

# Constraints.
refused nowhere check real/val --constraints nowhere
refused nowhere repair real/val --constraints nowhere -o out
refused file check real/val --constraints file
refused file info file
: >void
refused void info void
head -c 5000 c.json >half.json
refused half.json check real/val --constraints half.json
refused half.json repair real/val --constraints half.json -o out
refused half.json info half.json
echo '{}' >object.json
refused object.json check real/val --constraints object.json
cp real/val/dataset.json dataset.json
refused dataset.json check real/val --constraints dataset.json
refused real check real/val --constraints real

# Models.
refused nowhere generate nowhere -o out --events 10
refused empty generate empty -o out --events 10
refused real/val generate real/val -o out --events 10
cp -r model half
truncate -s 200 half/model.json
refused half/model.json generate half -o out --events 10
refused half/model.json info half
cp -r model cut-numbers
truncate -s -100 cut-numbers/model.safetensors
refused cut-numbers/model.safetensors generate cut-numbers -o out --events 10
refused cut-numbers/model.safetensors info cut-numbers
cp -r model no-numbers
rm no-numbers/model.safetensors
refused no-numbers/model.safetensors generate no-numbers -o out --events 10
cp -r model header
printf '\377\377\377\377\377\377\377\177' | dd of=header/model.safetensors conv=notrunc status=none
refused header/model.safetensors generate header -o out --events 10
cp -r model other
sed -i 's/"markov"/"nonsense"/' other/model.json
refused nonsense generate other -o out --events 10
