#!/bin/sh
# How a cluster of five fails, and how it comes back: the failure modes of etcd's operations guide, one by one. Run it in
# an empty directory, with devcluster, etcd and etcdctl in PATH; FLAGS are for 'devcluster up'. A test does, on ours and on Go's.
set -eu

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*"; exit 1; }

put() { devcluster ctl --command-timeout 3s put "$1" "$2" >/dev/null 2>&1; }
get() { devcluster ctl --command-timeout 3s get "$1" --print-value-only 2>/dev/null; }
# Tries for a minute.
soon() {
  left=300
  until "$@"; do
    left=$((left - 1))
    test $left -gt 0 || fail "not within a minute: $*"
    sleep 0.2
  done
}
# What the status says of a member: client, data, …
member() {
  devcluster status --json | tr '{' '\n' | sed -n "s/.*\"name\":\"$1\".*\"$2\":\"\([^\"]*\)\".*/\1/p"
}
# Whether the members that run are all at one revision, and healthy.
settled() { devcluster status >/dev/null; }
# 0 all healthy, 3 some are not, 4 no majority.
status_is() { devcluster status >/dev/null && test "$1" = 0 || test $? = "$1"; }

devcluster up 5 --detach ${FLAGS:-}
put before-all 1 || fail 'a cluster that has just been made takes no write'

say 'Minor followers failure: two followers of five may be missing'
first=$(devcluster status --json | sed 's/.*"leader":"\([^"]*\)".*/\1/')
set -- $(for name in m1 m2 m3 m4 m5; do test $name = "$first" || echo $name; done)
devcluster kill "$1" "$2"
for number in 1 2 3 4 5; do put minor $number || fail "write $number with two followers missing"; done
test "$(get minor)" = 5 || fail 'a read with two followers missing'
devcluster start "$1" "$2"
soon settled

say 'Leader failure: there is no write until the next is elected, and what was acknowledged stays'
put leader acknowledged || fail 'a write before the leader fails'
lease=$(devcluster ctl lease grant 30 | sed 's/lease \([0-9a-f]*\) .*/\1/')
devcluster kill leader
soon put leader-next 1
test "$(get leader)" = acknowledged || fail 'a write that was acknowledged is gone'
# The new leader gives every lease its time anew: it never ends early.
devcluster ctl lease timetolive "$lease" | grep -q 'remaining(\(2[5-9]\|30\)s)' || fail 'the lease lost time'
devcluster start all
soon settled

say 'Majority failure: nothing is written, nothing is read; it comes back with the third member'
devcluster kill m1 m2 m3
soon status_is 4
put majority lost && fail 'a minority took a write'
test -z "$(get leader)" || fail 'a minority answered a linearizable read'
# What it has it can still tell, to whoever does not ask for the newest.
devcluster ctl --endpoints "$(member m4 client)" --command-timeout 3s get leader --consistency=s | grep -q acknowledged ||
  fail 'a minority answered no serializable read'
devcluster start m1
soon put majority back
test "$(get leader)" = acknowledged || fail 'a write that was acknowledged is gone'
devcluster start all
soon settled

say 'Network partition: the majority works, the minority does not, and there is never a second brain'
devcluster cut m1,m2 m3,m4,m5
# The endpoints of some members.
side() { for name in "$@"; do member "$name" client; done | paste -sd, -; }
minority=$(side m1 m2)
majority=$(side m3 m4 m5)
soon devcluster ctl --endpoints "$majority" --command-timeout 3s put partition majority
# Another key: a write that nobody answered may still come about, when what was on its way to the other side arrives.
devcluster ctl --endpoints "$minority" --command-timeout 3s put partition-minority 1 2>/dev/null &&
  fail 'the minority took a write'
devcluster ctl --endpoints "$minority" --command-timeout 3s get partition 2>/dev/null &&
  fail 'the minority answered a linearizable read'
devcluster heal
soon settled
knows() { test "$(devcluster ctl --endpoints "$1" --command-timeout 3s get partition --print-value-only 2>/dev/null)" = "$2"; }
soon knows "$minority" majority

say 'Failure during bootstrapping: without a majority there is no cluster; it begins anew with empty directories'
devcluster down
devcluster clean
devcluster up 5 --detach --wait 3 --binary m1=/bin/false ${FLAGS:-} && fail 'a member that cannot start was no failure'
# Nobody has had anything from it: 'up' begins again with empty directories.
devcluster clean
devcluster up 5 --detach ${FLAGS:-}
put begun anew || fail 'a cluster that was begun anew takes no write'

say 'Disaster: three of five are lost for good; a snapshot makes a new cluster with all keys'
devcluster ctl --endpoints "$(side m1)" snapshot save snapshot.db
devcluster kill m1 m2 m3
for name in m1 m2 m3; do rm -rf "$(member $name data)"; done
put begun again && fail 'a minority took a write'
devcluster down
devcluster clean
devcluster up 3 --detach --snapshot snapshot.db ${FLAGS:-}
test "$(get begun)" = anew || fail 'the snapshot has not what was in the cluster'
put begun restored || fail 'a restored cluster takes no write'

devcluster down
devcluster clean
say 'all as it should be'
