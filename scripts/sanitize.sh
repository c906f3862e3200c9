#!/bin/sh
# Runs the unit tests and the simulation with the sanitizers, each in builds of its own: tests in a debug build, SEEDS of the
# simulation in a release build, where it is twenty times as fast.
# usage: [SEEDS=200] sanitize.sh SWIFT [address|thread|undefined]...; without a name, all three
#
# Tests run one by one: many of them set deadlines, which a sanitizer and others beside them would use up. Memory that is lost is
# not looked for: Swift keeps pointers in forms that the leak sanitizer does not know (weak references, enums), and what is only
# held by such counts as lost.
#
# Swift itself stops at what is undefined elsewhere, overflows and places beyond the end, and has no such sanitizer on Linux:
# `undefined` is about our C, which traps, and about exclusive access, checked in its release build, too.
#
# Left out is what starts servers and tools, which are built without, what reads sources, the fuzzer's inputs, what weighs memory,
# of which a sanitizer keeps what was freed and counts nothing. Races are looked for where there are threads; a simulation has one.
# What it says is in .build/sanitize/NAME.log.
set -eu
swift=$1
shift
[ $# -gt 0 ] || set -- address thread undefined
# Any finding ends the process, which fails the run.
export ASAN_OPTIONS=halt_on_error=1:detect_leaks=0:detect_stack_use_after_return=1
export TSAN_OPTIONS=halt_on_error=1
threads='^(Calls|DNS|Discovery|EtcdServer|EventLoops|FaultRelay|GRPC|GRPCProxy|HTTP|PeerTransport|Platform|TLS)Tests'
skipped='^(InteropTests|GuideTests|FuzzTests|SimulationTests|DevClusterTests|EtcdCtlKitTests|EtcdClientTests|ProxiesTests|TidyTests)|aFloodsMemoryIsGivenBack|variablesAreJSON'
failed=
for name; do
  build=.build/sanitize/$name log=.build/sanitize/$name.log
  mkdir -p .build/sanitize
  echo "sanitize: $name"
  if [ "$name" = undefined ]; then
    flags='-Xcc -fsanitize=undefined -Xcc -fsanitize-trap=undefined'
  else
    flags="--sanitize $name"
  fi
  # shellcheck disable=SC2086 # flags are several words
  "$swift" build --build-tests $flags --scratch-path "$build"
  set -- --skip "$skipped" --no-parallel
  if [ "$name" = thread ]; then
    "$(dirname "$swift")/clang" -shared -fPIC -O2 -o "$build/mutex.so" scripts/sanitize-mutex.c
    set -- "$@" --filter "$threads"
    export LD_PRELOAD="$PWD/$build/mutex.so"
  fi
  # shellcheck disable=SC2086
  "$swift" test --skip-build --disable-xctest $flags --scratch-path "$build" "$@" >"$log" 2>&1 ||
    { failed="$failed $name" && grep -aE -A30 '✘|ERROR: |WARNING: ThreadSanitizer|unexpected signal' "$log" | head -80; }
  grep -a 'Test run with' "$log" || true
  if [ "$name" = thread ]; then
    unset LD_PRELOAD
    continue
  fi
  # shellcheck disable=SC2086
  "$swift" build -c release $flags --scratch-path "$build-release" --product etcd-sim
  "$build-release/release/etcd-sim" --seeds "${SEEDS:-200}" >"$log.simulation" 2>&1 ||
    { failed="$failed $name-simulation" && tail -80 "$log.simulation"; }
done
[ -z "$failed" ] || { echo "sanitize: findings of$failed; see .build/sanitize" >&2 && exit 1; }
