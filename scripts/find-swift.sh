#!/bin/sh
# Prints the path of the swift program, and says what to do when there is none.
set -eu
for place in "$(command -v swift 2>/dev/null || true)" /opt/swift/usr/bin/swift /usr/local/swift/usr/bin/swift \
  "$HOME/.local/share/swiftly/bin/swift" "$HOME/.swiftly/bin/swift"; do
  if [ -n "$place" ] && [ -x "$place" ]; then
    echo "$place"
    exit 0
  fi
done
echo "There is no swift in PATH. Swift 6.2 or newer is needed: https://www.swift.org/install" >&2
exit 1
