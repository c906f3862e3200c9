#!/bin/sh
# Regenerates Sources/EtcdAPI/Generated from proto/*.proto.
#
#   scripts/generate-proto.sh           writes the files
#   scripts/generate-proto.sh --check   fails when the files in the tree are not up to date
#
# PLUGIN=/path/to/protoc-gen-etcd-swift uses a built plugin instead of building one.
set -eu
cd "$(dirname "$0")/.."
target=Sources/EtcdAPI/Generated

if [ "${PLUGIN:-}" = "" ]; then
  swift build --product protoc-gen-etcd-swift >&2
  PLUGIN="$(swift build --show-bin-path)/protoc-gen-etcd-swift"
fi

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
(cd proto && find . -name '*.proto' | sed 's|^\./||' | LC_ALL=C sort) >"$fresh.list"
trap 'rm -rf "$fresh" "$fresh.list"' EXIT
# shellcheck disable=SC2046 # one word per file; the names hold no spaces
protoc -I proto --plugin=protoc-gen-etcd-swift="$PLUGIN" --etcd-swift_out="$fresh" \
  $(cat "$fresh.list")

if [ "${1:-}" = "--check" ]; then
  if ! diff -r "$fresh" "$target"; then
    echo "$target is stale: run scripts/generate-proto.sh" >&2
    exit 1
  fi
  exit 0
fi
rm -rf "$target"
mkdir -p "$target"
cp "$fresh"/*.swift "$target"/
