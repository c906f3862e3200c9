#!/bin/sh
# Prints the time of the sources, seconds since 1970: what is packaged of them carries it, so that the same
# sources give the same bytes. SOURCE_DATE_EPOCH wins; then the last commit; then the changelog.
set -eu
cd "$(dirname "$0")/.."

if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then
  echo "$SOURCE_DATE_EPOCH"
elif git log -1 --format=%ct 2>/dev/null; then
  :
else
  stat -c %Y CHANGELOG.md
fi
