#!/bin/sh
# The first five minutes with devcluster. Type it line by line, or run it whole, in an empty directory; a test does.
# What is needed: devcluster and etcd in PATH.
set -eu

# --- Minute 1: a cluster, and something in it -----------------------------------------------------------------------

# Three members with data of their own; ready when the prompt is back.
devcluster up 3 --detach

# Who leads, where they listen, how far they are.
devcluster status

# 'devcluster ctl' is etcdctl with the cluster's addresses (and certificates, and password).
devcluster ctl put greeting hello
test "$(devcluster ctl get greeting --print-value-only)" = hello

# Everything else that speaks etcd finds it by the environment.
eval "$(devcluster env)"
echo "$ETCDCTL_ENDPOINTS"

# --- Minute 2: a member dies ---------------------------------------------------------------------------------------

# As a crash would end it. The others elect a new leader, and nothing that was acknowledged is lost.
devcluster kill leader
devcluster ctl put greeting 'hello again'
test "$(devcluster ctl get greeting --print-value-only)" = 'hello again'

# Status 3 says that it works, but not with all members.
until devcluster status || test $? = 3; do sleep 0.2; done

# 'stopped' are those that do not run.
devcluster start all
devcluster status

# --- Minute 3: a network that breaks -------------------------------------------------------------------------------

# The leader is alone, and does not know it yet: nothing passes between it and the others, in no direction.
devcluster cut leader --for 10s

# The majority has a new leader within two election timeouts; a write through any of its members succeeds.
until devcluster ctl --command-timeout 5s put greeting 'from the majority'; do :; done

# All hear each other again: the one that was alone follows, and has what it missed.
devcluster heal
test "$(devcluster ctl get greeting --print-value-only)" = 'from the majority'

# Slow is often worse than dead.
devcluster slow 'm1<->m2' 50ms±10ms
devcluster ctl put greeting slowly
devcluster heal

# What happened, with times: faults, elections, ends of processes.
devcluster events

# --- Minute 4: more members, and less --------------------------------------------------------------------------------

devcluster add
devcluster status
devcluster remove m4

# A copy of everything, to come back to.
devcluster save before
devcluster ctl del greeting
devcluster load before
test "$(devcluster ctl get greeting --print-value-only)" = slowly

# --- Minute 5: your tests, and the end -------------------------------------------------------------------------------

# A cluster on free ports for one command, with TLS; it is gone when the command ends, whose status it returns.
devcluster run 3 --tls --fast -- sh -c 'devcluster ctl put tested yes'

devcluster down
devcluster up --detach
test "$(devcluster ctl get greeting --print-value-only)" = slowly
devcluster down
devcluster clean
