#!/bin/sh
# Shows that the simulation and the tests find the faults of Tests/TidyTests/Mutants, and writes docs/MUTANTS.md.
# usage: mutants.sh SWIFT [NAME...]; with names, only those, and nothing is written
#
# A copy of the tree gets all faults at once, each behind a switch that BUILT_IN_FAULT in the environment throws, so that
# one build serves all of them. Each fault then acts in processes of its own: a trap ends only those, and counts as found.
set -eu
swift=$1
shift
base=$PWD/.build/mutants
tree=$base/tree stage=$base/stage results=$base/results
sim=$tree/.build/release/etcd-sim
seeds=1000
tab=$(printf '\t')
# Nobody reads the stack of a fault that is wanted.
export SWIFT_BACKTRACE=enable=no

# Files that stay the same keep their time, so that little is built.
copy_tree() {
  rm -rf "$stage"
  mkdir -p "$stage" "$tree"
  git ls-files -co --exclude-standard -z | tar --null --ignore-failed-read -T - -cf - 2>/dev/null | tar -xf - -C "$stage"
  for patch in Tests/TidyTests/Mutants/*.patch; do
    patch -d "$stage" -p1 -F0 -s --no-backup-if-mismatch <"$patch" || { echo "mutants: $patch does not apply" >&2 && exit 1; }
  done
  (cd "$stage" && find . -type f | LC_ALL=C sort) >"$base/files"
  (cd "$tree" && find . -path ./.build -prune -o -type f -print | LC_ALL=C sort) |
    LC_ALL=C comm -13 "$base/files" - | while read -r gone; do rm "$tree/$gone"; done
  while read -r file; do
    cmp -s "$stage/$file" "$tree/$file" && continue
    mkdir -p "$(dirname "$tree/$file")"
    cp "$stage/$file" "$tree/$file"
  done <"$base/files"
}

field() { sed -n "s/^$2: *//p" "Tests/TidyTests/Mutants/$1.patch" | head -1; }

# Sets `found`, `tried` and `by`: the first seed that ends with a problem or a trap, and without the fault does not.
search() {
  tried=0
  while [ $tried -lt $seeds ]; do
    tried=$((tried + 1))
    status=0
    # shellcheck disable=SC2086 # options are words
    BUILT_IN_FAULT=$2 timeout 600 "$sim" --seed $tried $1 >"$base/$3.log" 2>&1 || status=$?
    [ $status -eq 0 ] && continue
    timeout 600 "$sim" --seed $tried >"$base/control.log" 2>&1 || { by="found without it, seed $tried" && return 1; }
    by=$(sed -n 's/^  \([^ ].*\)/\1/p' "$base/$3.log" | head -1 | cut -c1-90)
    by="simulation: ${by:-a trap}"
    return 0
  done
  by="not found in $seeds seeds"
  return 1
}

run_tests() {
  (cd "$tree" && BUILT_IN_FAULT=$2 timeout 150 "$swift" test --skip-build --ignore-lock --no-parallel --filter "$1") \
    >"$base/$3.log" 2>&1 || {
    status=$?
    # What hangs is in a process group of its own and outlives the program that started it.
    pkill -KILL -f "^$tree/.build/[^ ]*etcdPackageTests.xctest " || true
    return $status
  }
}

# A trap ends the process before anything is said of a failure, and what hangs is ended.
failed_test() {
  local name how
  name=$(sed -n 's/^.* Test \([A-Za-z0-9_]*\)(.* failed after.*/\1/p' "$base/$2.log" | head -1)
  how=
  if [ "$1" -eq 124 ]; then how=', by hanging'; elif [ -z "$name" ]; then
    how=', by a trap'
    name=$(sed -n 's/^.* Test \([A-Za-z0-9_]*\)(.*) started.*/\1/p' "$base/$2.log" | tail -1)
  fi
  echo "${name:-${3##*/}}$how"
}

check_by_test() {
  local key
  tried=-
  key=$(echo "control-$1" | tr -c 'A-Za-z0-9\n' _)
  if [ ! -e "$base/$key.passed" ]; then
    run_tests "$1" none "$key" || { by="$1 fails without it" && return 1; }
    touch "$base/$key.passed"
  fi
  status=0
  run_tests "$1" "$2" "$2" || status=$?
  [ $status -ne 0 ] || { by="not found by $1" && return 1; }
  by="${1%%/*}: $(failed_test $status "$2" "$1")"
}

# Row, name, what, how.
check() {
  local began
  began=$(date +%s)
  case $4 in
  sim) search '' "$2" "$2" && verdict=found || verdict=missed ;;
  edge) search "--mutant $2" '' "$2" && verdict=found || verdict=missed ;;
  'test '*) check_by_test "${4#test }" "$2" && verdict=found || verdict=missed ;;
  *) by="no finder: $4" verdict=missed ;;
  esac
  printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$by" "$tried" $(($(date +%s) - began)) >"$results/$2"
  echo "$verdict: row $1 $2: $by, seeds $tried, $(($(date +%s) - began)) s"
  [ $verdict = found ] || missed="$missed $2"
}

write_table() {
  cat Tests/TidyTests/Mutants/intro.md
  echo
  sed 's/^\([0-9]*\) /\1. /' Tests/TidyTests/Mutants/rows.txt
  printf '\n| row | fault | what it does | found by | seeds | s |\n|---|---|---|---|---|---|\n'
  cat "$results"/* | LC_ALL=C sort -t "$tab" -k1n -k2 |
    awk -F '\t' '{ gsub(/\|/, "\\|"); printf "| %s | `%s` | %s | %s | %s | %s |\n", $1, $2, $3, $4, $5, $6 }'
}

copy_tree
mkdir -p "$results" "$tree/.build"
ln -sfn "$PWD/.build/tools" "$tree/.build/tools"
rm -f "$base"/*.passed
(cd "$tree" && "$swift" build -c release --product etcd-sim && "$swift" build --build-tests) >"$base/build.log" 2>&1 ||
  { tail -40 "$base/build.log" && exit 1; }

missed=
all=$#
if [ $# -eq 0 ]; then
  rm -f "$results"/*
  for patch in Tests/TidyTests/Mutants/*.patch; do set -- "$@" "$(basename "$patch" .patch)"; done
fi
for name; do
  row=$(field "$name" Row)
  [ "$row" = none ] && continue
  check "$row" "$name" "$(field "$name" What)" "$(field "$name" Finder)"
done
if [ "$all" -eq 0 ]; then
  while read -r row name what; do
    case $row in '#'* | '') continue ;; esac
    check "$row" "$name" "$what" edge
  done <Tests/TidyTests/Mutants/edge.txt
  write_table >docs/MUTANTS.md
fi
[ -z "$missed" ] || { echo "mutants: not found:$missed" >&2 && exit 1; }
