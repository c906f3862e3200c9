#!/bin/sh
# Drives decoders of foreign bytes with libFuzzer (Tests/FuzzTargets).
# usage: fuzz.sh SWIFT SECONDS [TARGET...]; without targets, all of them, SECONDS each
#
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
for target; do
  corpus=$build/corpus/$target kept=Tests/FuzzTests/Corpus/$target
  mkdir -p "$corpus"
  [ -d "$kept" ] || kept=
  echo "fuzz: $target, $seconds s"
  # shellcheck disable=SC2086 # no corpus is no argument
  FUZZ_TARGET=$target FUZZ_SEEDS=$corpus $program -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -max_len=16384 -print_final_stats=1 -artifact_prefix="$build/findings/$target-" "$corpus" $kept \
    >"$build/$target.log" 2>&1 || { failed="$failed $target" && tail -40 "$build/$target.log"; }
  sed -n 's/^stat::number_of_executed_units: */  inputs: /p; s/^stat::peak_rss_mb: */  MB: /p' "$build/$target.log"
done
[ -z "$failed" ] || { echo "fuzz: findings in$failed; see $build/findings" >&2 && exit 1; }
