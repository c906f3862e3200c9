#!/bin/sh
# Drives decoders of foreign bytes with libFuzzer (Tests/FuzzTargets).
# usage: fuzz.sh SWIFT SECONDS [TARGET...]; without targets, all of them, SECONDS each
#
# How long each has run in all, and how many inputs it took, is in docs/FUZZ.md, to which every run adds.
# What each learned stays in .build/fuzz/corpus/TARGET and is where the next run begins; what it found is in
# .build/fuzz/findings, as TARGET-crash-…, and comes into Tests/FuzzTests/Corpus/TARGET once it is mended.
set -eu
swift=$1 seconds=$2
shift 2
build=.build/fuzz
# Release: a fuzzer is as good as it is fast. Targets look into the modules, as tests do.
ETCD_FUZZ=1 "$swift" build -c release -Xswiftc -enable-testing --sanitize fuzzer --scratch-path $build --product etcd-fuzz
program=$build/release/etcd-fuzz
[ $# -gt 0 ] || set -- $(FUZZ_TARGET='' $program 2>"$build/names.log")
mkdir -p $build/findings
failed=
page=docs/FUZZ.md

# Seconds of the processor that the last command of this shell's children took, as `times` tells them.
cpu_seconds() { sed -n '2s/^\([0-9]*\)m\([0-9]*\)[.0-9]*s \([0-9]*\)m\([0-9]*\).*/\1 \2 \3 \4/p' "$1" | awk '{ print ($1 + $3) * 60 + $2 + $4 }'; }

# Adds a run to the row of a target.
add_to_page() {
  { grep '^| [a-z0-9-]* | [0-9]' $page 2>/dev/null || true; } >"$build/rows"
  {
    cat <<'END'
# What the fuzzer has tried

Made by `scripts/fuzz.sh` (`make fuzz`, `make nightly`), which adds what it ran to what stands here; nothing is written by hand.
Each target (`Tests/FuzzTargets`) is a decoder of foreign bytes in a build with libFuzzer; what one found comes into
`Tests/FuzzTests/Corpus` and is run by every `make test`.

| target | processor seconds | inputs | findings |
|---|---|---|---|
END
    awk -v target="$1" -v seconds="$2" -v inputs="$3" -v findings="$4" '
      $2 == target { seconds += $4; inputs += $6; findings += $8; next }
      { print }
      END { print "| " target " | " seconds " | " inputs " | " findings " |" }' "$build/rows" | LC_ALL=C sort
  } >$page.new
  mv $page.new $page
}

for target; do
  corpus=$build/corpus/$target kept=Tests/FuzzTests/Corpus/$target
  mkdir -p "$corpus"
  [ -d "$kept" ] || kept=
  echo "fuzz: $target, $seconds s"
  found=0
  # shellcheck disable=SC2086 # no corpus is no argument
  (status=0
  FUZZ_TARGET=$target FUZZ_SEEDS=$corpus $program -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -max_len=16384 -print_final_stats=1 -artifact_prefix="$build/findings/$target-" "$corpus" $kept \
    >"$build/$target.log" 2>&1 || status=$?
  times >"$build/times"
  exit $status) ||
    { found=1 failed="$failed $target" && tail -40 "$build/$target.log"; }
  sed -n 's/^stat::number_of_executed_units: */  inputs: /p; s/^stat::peak_rss_mb: */  MB: /p' "$build/$target.log"
  inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$target.log")
  add_to_page "$target" "$(cpu_seconds "$build/times")" "${inputs:-0}" $found
done
[ -z "$failed" ] || { echo "fuzz: findings in$failed; see $build/findings" >&2 && exit 1; }
