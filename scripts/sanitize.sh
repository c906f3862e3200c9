#!/bin/sh
# Runs the unit tests and the simulation with the sanitizers, each in a build of its own.
# usage: sanitize.sh SWIFT [address|thread|undefined]...; without a name, all three
#
# Left out is what starts servers and tools, which are built without, what reads sources, the fuzzer's inputs, what weighs memory,
# of which a sanitizer keeps what was freed and counts nothing, and the search for faults that are built in. Races are looked for
# where there are threads; a simulation has one. What it says is in .build/sanitize/NAME.log.
set -eu
swift=$1
shift
[ $# -gt 0 ] || set -- address thread undefined
# Any finding ends the process, which fails the run.
export ASAN_OPTIONS=halt_on_error=1:detect_leaks=1:detect_stack_use_after_return=1
export TSAN_OPTIONS=halt_on_error=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
threads='^(Calls|DNS|Discovery|EtcdServer|EventLoops|FaultRelay|GRPC|GRPCProxy|HTTP|PeerTransport|Platform|TLS)Tests'
skipped='^(InteropTests|GuideTests|FuzzTests|DevClusterTests|EtcdCtlKitTests|EtcdClientTests|ProxiesTests|TidyTests)|aFloodsMemoryIsGivenBack|findsBuiltInFaults|variablesAreJSON'
failed=
for name; do
  build=.build/sanitize/$name log=.build/sanitize/$name.log
  mkdir -p .build/sanitize
  echo "sanitize: $name"
  "$swift" build --build-tests --sanitize "$name" --scratch-path "$build"
  set -- --skip "$skipped"
  if [ "$name" = thread ]; then
    "$(dirname "$swift")/clang" -shared -fPIC -O2 -o "$build/mutex.so" scripts/sanitize-mutex.c
    set -- "$@" --filter "$threads" --no-parallel
    export LD_PRELOAD="$PWD/$build/mutex.so"
  fi
  "$swift" test --skip-build --disable-xctest --sanitize "$name" --scratch-path "$build" "$@" >"$log" 2>&1 ||
    { failed="$failed $name" && grep -aE -A30 '✘|ERROR: |WARNING: ThreadSanitizer|runtime error' "$log" | head -80; }
  unset LD_PRELOAD
  grep -a 'Test run with' "$log" || true
done
[ -z "$failed" ] || { echo "sanitize: findings of$failed; see .build/sanitize" >&2 && exit 1; }
