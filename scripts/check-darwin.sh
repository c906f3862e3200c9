#!/bin/sh
# Checks, without a Mac, that what calls the system still compiles for one.
# usage: check-darwin.sh SWIFT; the tests are built
#
# Branches for other systems are cut out of the sources, and what is left is type-checked with scripts/darwin/Darwin.swift in
# the place of the C library. That finds branches that were forgotten, names and types that no longer fit, and calls of Linux
# alone. It does not find what a Mac's C library declares otherwise than the stand-in, and links and runs nothing.
set -eu
swift=$1
# Beside the program itself, wherever a link to it stands.
tools=$(dirname "$(readlink -f "$(command -v "$swift")")")
swiftc=$tools/swiftc
modules=.build/debug/Modules
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[ -d $modules ] || { echo "check-darwin: no $modules; please run: $swift build --build-tests" >&2 && exit 1; }

# Who has branches by system. C is looked at below.
branch='#(else)?if.*(Glibc|Linux|Darwin|macOS)'
targets=$(grep -rlE --include='*.swift' "$branch" Sources | cut -d/ -f2 | sort -u)
# Calls, flags and files that Linux alone has.
linux='accept4|pipe2|dup3|epoll_[a-z0-9_]+|eventfd|timerfd_[a-z]+|signalfd|inotify_[a-z_0-9]+|memfd_create|fdatasync|fallocate'
linux="$linux|posix_fallocate|posix_fadvise|sync_file_range|syncfs|splice|sendfile|copy_file_range|close_range|statx|openat2"
linux="$linux|gettid|prctl|getauxval|sysinfo|sched_[gs]etaffinity|malloc_trim|mallinfo2?|mremap|getrandom|secure_getenv"
linux="$linux|SOCK_CLOEXEC|SOCK_NONBLOCK|MSG_NOSIGNAL|MSG_ZEROCOPY|O_DIRECT|O_TMPFILE|MAP_POPULATE|MADV_HUGEPAGE|CLOCK_BOOTTIME"
linux="$linux|CLOCK_MONOTONIC_COARSE|CLOCK_REALTIME_COARSE|F_OFD_[A-Z]+|F_SETPIPE_SZ|SO_PEERCRED|SO_DOMAIN|TCP_USER_TIMEOUT"
linux="$linux|TCP_KEEPIDLE|TCP_QUICKACK|TCP_CORK|TCP_DEFER_ACCEPT|__errno_location|program_invocation_name"

# Keeps the lines that a Mac compiles, and the numbers of lines.
mac='
function value(text,  inner) {
  if (text ~ /^!/) { inner = value(substr(text, 2)); return inner < 0 ? inner : !inner }
  if (text ~ /^(canImport\((Glibc|Musl)\)|os\(Linux\))$/) return 0
  if (text ~ /^(canImport\(Darwin\)|os\(macOS\))$/) return 1
  return -1
}
function shown(  level) {
  for (level = 1; level <= depth; level++) if (state[level] == 0) return 0
  return 1
}
/^[ \t]*#if / {
  text = $0; sub(/^[ \t]*#if /, "", text)
  depth++; state[depth] = value(text); known[depth] = state[depth] >= 0; taken[depth] = state[depth] == 1
  print known[depth] || !shown() ? "" : $0; next
}
/^[ \t]*#elseif / && known[depth] {
  text = $0; sub(/^[ \t]*#elseif /, "", text)
  state[depth] = taken[depth] ? 0 : value(text) != 0; if (state[depth]) taken[depth] = 1
  print ""; next
}
/^[ \t]*#else/ && known[depth] { state[depth] = !taken[depth]; print ""; next }
/^[ \t]*#endif/ { was = known[depth] || !shown(); depth--; print was ? "" : $0; next }
{ print shown() ? $0 : "" }
'

"$swiftc" -emit-module -module-name Darwin -parse-as-library scripts/darwin/Darwin.swift -o "$work/Darwin.swiftmodule"
clang_modules=
for module in Sources/*/module.modulemap; do clang_modules="$clang_modules -I $(dirname "$module")"; done
for map in .build/debug/*.build/module.modulemap; do
  clang_modules="$clang_modules -Xcc -fmodule-map-file=$map"
done

failed=
for target in $targets; do
  sources=$work/$target
  mkdir "$sources"
  find "Sources/$target" -name '*.swift' >"$work/files"
  while read -r file; do
    copy=$sources/$(echo "${file#Sources/"$target"/}" | tr / _)
    # Modules of C libraries bring the type of this machine, too.
    awk "$mac" "$file" | sed 's/\bpthread_t\b/Darwin.pthread_t/g' >"$copy"
    if grep -nE "$branch" "$copy"; then
      echo "check-darwin: $file: a condition that scripts/check-darwin.sh does not read" >&2
      failed=yes
    fi
    if sed 's,//.*,,; s/"[^"]*"//g' "$copy" | grep -nwE "($linux)" >"$work/found"; then
      sed "s,^,$file:," "$work/found"
      echo "check-darwin: a Mac has none of these; put them behind canImport(Glibc)" >&2
      failed=yes
    fi
  done <"$work/files"
  resources=.build/debug/$target.build/DerivedSources/embedded_resources.swift
  [ ! -f "$resources" ] || cp "$resources" "$sources"
  # shellcheck disable=SC2086 # several words each
  "$swiftc" -typecheck -module-name "$target" -swift-version 6 -enable-upcoming-feature ExistentialAny \
    -enable-upcoming-feature MemberImportVisibility -parse-as-library -package-name "$(basename "$PWD" | tr '[:upper:]' '[:lower:]')" \
    -I "$work" -I $modules $clang_modules "$sources"/*.swift >"$work/errors" 2>&1 || {
    grep -A4 'error:' "$work/errors" | sed "s,$sources/,$target: ,"
    failed=yes
  }
done

# The other branch of C, as on any system that is not Linux.
for file in Sources/*/*.c; do
  "$tools/clang" -fsyntax-only -isystem scripts/darwin/include -U__linux__ -U__linux -Ulinux -Wall -I "$(dirname "$file")/include" "$file" ||
    failed=yes
done
[ -z "$failed" ] || { echo 'check-darwin: the code for macOS does not compile' >&2 && exit 1; }
echo "check-darwin: $(echo $targets | wc -w) targets compile with a stand-in for macOS"
