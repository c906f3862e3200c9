#!/bin/sh
# Runs the test suites that start programs and wait for them, or count what the process has open: one by one, in two
# processes beside each other.
# usage: test-lanes.sh SWIFT; the tests are built
set -u
swift=$1
others=$(mktemp)
trap 'rm -f "$others"' EXIT
trap 'kill "$lane" 2>/dev/null; exit 130' INT TERM

# swift test keeps others off the build folder while it runs; nothing is built here.
run() { exec "$swift" test --skip-build --ignore-lock --no-parallel --filter "$1"; }

(run '^InteropTests\.[L-Z]') >"$others" 2>&1 &
lane=$!
(run '^(DevClusterTests|EtcdCtlKitTests|EtcdClientTests|ProxiesTests|InteropTests\.[A-K])')
first=$?
wait "$lane"
second=$?
cat "$others"
[ "$first" -eq 0 ] && [ "$second" -eq 0 ]
