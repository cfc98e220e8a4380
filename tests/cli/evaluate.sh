# evaluate: the report of a twin, and of real data taken for one.
. "$SOURCE_DIR/tests/cli/lib/harness.sh" || exit 1
small_trace
"$TRACETWIN" import small -o d -q >/dev/null
"$TRACETWIN" split d -o s >/dev/null
"$TRACETWIN" train s/train -o model --generator markov -q >/dev/null
"$TRACETWIN" generate model -o twin --events 1500 -q >/dev/null

expect_exit 0 "$TRACETWIN" evaluate -q --train s/train --val s/val --test s/test --synthetic twin -o report --steps 3 --json
expect_stderr ''
cmp report/report.json "$harness_output/stdout"
expect_json seed=1 distances.0.name='held-out real' distances.1.name=synthetic distances.1.events=1500 \
  fidelity.0.name='held-out real' fidelity.1.name=synthetic fidelity.1.ngram_jsd.4 fidelity.1.memorised \
  fidelity.1.discriminator_auc utility.delta_f1 utility.delta_f1_equal_steps utility.baselines.2.macro_f1
for i in 0 1 2 3 4 5; do
  case $i in 0 | 3) name=TRTR ;; 1 | 4) name=TSTR ;; *) name=COMBINED ;; esac
  expect_json utility.arms.$i.name=$name utility.arms.$i.macro_f1 utility.arms.$i.weighted_f1 utility.arms.$i.accuracy \
    utility.arms.$i.top5 utility.arms.$i.top10 utility.arms.$i.classes utility.arms.$i.equal_steps="$([ $i -lt 3 ] && echo false || echo true)"
  [ $i -lt 3 ] || expect_json utility.arms.$i.steps=3
done
expect_exit 0 ls -A report
expect_stdout $'constraints.json\nreport.json'
"$TRACETWIN" constraints s/train -o c.json >/dev/null
cmp c.json report/constraints.json
distance=$("$TRACETWIN" check twin -c c.json --json || true)
expect_exit 0 cat report/report.json
for field in d_trans d_time d_cpu d_attr d_trans_cpu; do
  /usr/bin/env python3 -c 'import sys; a, b = map(float, sys.argv[1:]); sys.exit(not abs(a - b) < 1e-7)' \
    "$(json distances.1.$field)" "$(python3 -c 'import json, sys; print(json.loads(sys.argv[1])[sys.argv[2]])' "$distance" $field)" ||
    fail "$field is not what check says"
done

# TRTR of the first report serves another twin of the same data; not other events, seeds or data
"$TRACETWIN" generate model -o other --events 1500 --seed 2 -q >/dev/null
cp "$harness_output/stdout" first.json
expect_exit 0 "$TRACETWIN" evaluate -q --train s/train --val s/val --test s/test --synthetic other -o again --converged --trtr report/report.json --json
for field in macro_f1 steps best_step test_events classes seconds; do
  [ "$(json utility.arms.0.$field)" = "$(python3 -c 'import json, sys; print(json.load(open("first.json"))["utility"]["arms"][0][sys.argv[1]])' $field)" ] || fail "TRTR has another $field"
done
expect_json utility.baselines.2.name='successor of 5' utility.arms.1.name=TSTR
[ "$(grep -c '"equal_steps": false' again/report.json)" = 3 ] && ! grep -q '"equal_steps": true' again/report.json ||
  fail "--converged has other arms"
expect_exit 0 "$TRACETWIN" evaluate -q --train s/train --val s/val --test s/test --synthetic other -o one --converged --arms combined --trtr report/report.json --json
expect_json utility.arms.0.name=TRTR utility.arms.1.name=COMBINED utility.tstr_share=null
[ "$(grep -c '"equal_steps"' one/report.json)" = 2 ] || fail "--arms combined has other arms"
expect_exit 2 "$TRACETWIN" evaluate -q --train s/train --val s/val --test s/test --synthetic other -o bad --arms tstr,trts
expect_stderr 'no arm "trts": trtr, tstr, combined'
expect_exit 0 "$TRACETWIN" evaluate -q --train s/train --val s/val --test s/test --synthetic other -o alone --converged --arms trtr --trtr report/report.json --json
[ "$(grep -c '"equal_steps"' alone/report.json)" = 1 ] || fail "--arms trtr has other arms"
rm -r alone
expect_exit 4 "$TRACETWIN" evaluate -q --train s/train --val s/val --test s/test --synthetic other -o bad --trtr report/report.json --seed 2
expect_stderr "report/report.json can't give the TRTR arm" 'seed 1, not'
expect_exit 4 "$TRACETWIN" evaluate -q --train s/train --val s/val --test s/val --synthetic other -o bad --trtr report/report.json
expect_stderr 'its real data are others'
rm -r again one other first.json

expect_exit 1 "$TRACETWIN" evaluate --train s/train --val s/val --test s/test --synthetic twin -o report
expect_stdout ''
expect_stderr 'report: already exists (-f overwrites)'
expect_exit 2 "$TRACETWIN" evaluate --train s/train --val s/val --test s/test -o out
expect_stdout ''
expect_stderr '--train, --val, --test, --synthetic and -o are needed'
expect_files c.json d model report s small twin
