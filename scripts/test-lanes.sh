#!/bin/sh
# Runs the test suites that start programs and wait for them, or count what the process has open: one by one, in three
# processes beside each other.
# usage: test-lanes.sh SWIFT; the tests are built
set -u
swift=$1
outputs=$(mktemp -d)
lanes=
trap 'rm -rf "$outputs"' EXIT
trap 'kill $lanes 2>/dev/null; exit 130' INT TERM

# swift test keeps others off the build folder while it runs; nothing is built here.
run() { exec "$swift" test --skip-build --ignore-lock --no-parallel --filter "$1" --skip "${2:-^$}"; }

# Some long suites stand beside those of devcluster, so that the lanes end at about the same time.
long='^InteropTests\.(Mixed|GRPCProxy|DifferentialTests|TLSCluster|DirectoryExchange|ForceNewCluster|MembershipTests|OurEtcdctlTests)'
(run '^InteropTests\.[L-Z]' "$long") >"$outputs/1" 2>&1 &
first=$!
(run "^DevClusterTests|$long") >"$outputs/2" 2>&1 &
second=$!
lanes="$first $second"
(run '^(EtcdCtlKitTests|EtcdClientTests|ProxiesTests|InteropTests\.[A-K])' "$long")
status=$?
for lane in $lanes; do wait "$lane" || status=1; done
cat "$outputs/1" "$outputs/2"
exit $status
