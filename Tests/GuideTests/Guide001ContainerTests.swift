import Foundation
import TestSupport
import Testing

/// Guide 001, section 2, and the `docker run` of its last section: the guide's own text and addresses, on machines that
/// are networks of the test's own, each with a `docker` that stands in for the engine: it runs our programs in a root, with
/// a volume, as the words say. No daemon and no registry is here; `scripts/test-image.sh` runs the image itself.
@Suite(.enabled(if: DNSNetwork.canRun)) struct Guide001ContainerTests {
  /// `docker volume create`, `docker run` and `docker exec`, as far as the guide has them. A container has the network of its
  /// machine, as with `--net=host`, which the guide names, so ports need no publishing; all that is unknown is refused.
  private static let docker = #"""
    set -eu
    mkdir -p "$MACHINE/volumes" "$MACHINE/containers"
    case "$1" in
    volume)
      [ "$2 $3" = "create --name" ]
      mkdir "$MACHINE/volumes/$4"
      echo "$4"
      ;;
    run)
      shift
      detached= name= volume=
      while [ "${1#-}" != "$1" ]; do
        case "$1" in
        -p | --net | --ip) shift 2 ;;
        -d) detached=yes; shift ;;
        --restart=always) shift ;;
        --volume=*) volume=${1#--volume=}; shift ;;
        --name) name=$2; shift 2 ;;
        *) echo "docker: unknown flag: $1" >&2; exit 125 ;;
        esac
      done
      case "$1" in
      gcr.io/etcd-development/etcd:latest | quay.io/coreos/etcd) shift ;;
      *) echo "docker: no image $1" >&2; exit 125 ;;
      esac
      source=${volume%%:*}
      case "$source" in
      "") source=$MACHINE/anonymous-$name ;;
      /*) source=$MACHINE$source ;;
      *) source=$MACHINE/volumes/$source ;;
      esac
      mkdir -p "$source"
      [ -n "$volume" ] || volume=:/data
      start() {
        exec unshare --mount bash -c '
          set -eu
          mkdir -p "$MACHINE/root.$3"
          root=$MACHINE/root.$3
          mount -t tmpfs none "$root"
          for name in bin lib lib64 usr opt etc dev; do
            [ ! -e "/$name" ] || { mkdir "$root/$name"; mount --rbind "/$name" "$root/$name"; }
          done
          mkdir -p "$root/proc" "$root/tmp" "$root$2"
          mount -t proc proc "$root/proc"
          mount --bind "$1" "$root$2"
          mount -t tmpfs none "$root/usr/local/bin"
          for name in etcd etcdctl; do
            touch "$root/usr/local/bin/$name"
            mount --bind "$(readlink -f "$BIN/$name")" "$root/usr/local/bin/$name"
          done
          echo $$ >"$MACHINE/containers/$3"
          shift 3
          exec chroot "$root" "$@"' bash "$source" "${volume##*:}" "$name" "$@"
      }
      [ -z "$detached" ] || { start "$@" >"$MACHINE/$name.log" 2>&1 & echo "$!"; exit; }
      start "$@"
      ;;
    exec)
      pid=$(cat "$MACHINE/containers/$2")
      shift 2
      exec nsenter --target "$pid" --mount --root --wd=/ "$@"
      ;;
    *) echo "docker: unknown command: $1" >&2; exit 125 ;;
    esac
    """#

  /// Runs a text in a network with machines at these addresses; `on N …` runs its words on one.
  private static func run(_ addresses: [String], _ text: String) -> Finished {
    let machines = addresses.enumerated().map { number, address in
      """
      ip netns add m\(number + 1)
      ip link add v\(number + 1) type veth peer name eth0 netns m\(number + 1)
      ip link set v\(number + 1) master bridge up
      ip -n m\(number + 1) address add \(address)/24 dev eth0
      ip -n m\(number + 1) link set eth0 up
      ip -n m\(number + 1) link set lo up
      mkdir -p machine\(number + 1)

      """
    }
    return DNSNetwork().run(
      """
      mount -t tmpfs none /run
      ip link add bridge type bridge
      ip link set bridge up
      cat >docker.sh <<'DOCKER'
      \(docker)
      DOCKER
      printf '#!/bin/bash\\n. "%s/docker.sh"\\n' "$PWD" >bin/docker
      chmod +x bin/docker
      BIN=$PWD/bin
      export BIN
      \(machines.joined())
      on() {
        local number=$1
        shift
        ip netns exec m$number env MACHINE="$BIN/../machine$number" "$@"
      }
      \(text)
      """)
  }

  /// §2.1, each command on the one machine.
  @Test func aSingleNode() {
    let done = Self.run(
      ["192.168.1.21"],
      """
      cat >first <<'END'
      export NODE1=192.168.1.21
      docker volume create --name etcd-data
      export DATA_DIR="etcd-data"
      REGISTRY=quay.io/coreos/etcd
      # available from v3.2.5
      REGISTRY=gcr.io/etcd-development/etcd

      docker run \\
        -p 2379:2379 \\
        -p 2380:2380 \\
        --volume=${DATA_DIR}:/etcd-data \\
        --name etcd ${REGISTRY}:latest \\
        /usr/local/bin/etcd \\
        --data-dir=/etcd-data --name node1 \\
        --initial-advertise-peer-urls http://${NODE1}:2380 --listen-peer-urls http://0.0.0.0:2380 \\
        --advertise-client-urls http://${NODE1}:2379 --listen-client-urls http://0.0.0.0:2379 \\
        --initial-cluster node1=http://${NODE1}:2380
      END
      on 1 bash first >out 2>log &
      export NODE1=192.168.1.21
      \(DNSNetwork.until("on 1 etcdctl --endpoints=http://${NODE1}:2379 endpoint health >/dev/null 2>&1"))
      cat out
      on 1 etcdctl --endpoints=http://${NODE1}:2379 member list | cut -d, -f2-
      ls machine1/volumes/etcd-data
      """)
    #expect(
      done.output
        == "etcd-data\n started, node1, http://192.168.1.21:2380, http://192.168.1.21:2379, false\nmember\n",
      "\(done)")
  }

  /// What §2.2 says for each machine, and for one of them.
  private static func machine(_ number: Int) -> String {
    """
    REGISTRY=quay.io/coreos/etcd
    # available from v3.2.5
    REGISTRY=gcr.io/etcd-development/etcd

    # For each machine
    ETCD_VERSION=latest
    TOKEN=my-etcd-token
    CLUSTER_STATE=new
    NAME_1=etcd-node-0
    NAME_2=etcd-node-1
    NAME_3=etcd-node-2
    HOST_1=10.20.30.1
    HOST_2=10.20.30.2
    HOST_3=10.20.30.3
    CLUSTER=${NAME_1}=http://${HOST_1}:2380,${NAME_2}=http://${HOST_2}:2380,${NAME_3}=http://${HOST_3}:2380
    DATA_DIR=/var/lib/etcd

    # For node \(number)
    THIS_NAME=${NAME_\(number)}
    THIS_IP=${HOST_\(number)}
    docker run \\
      -p 2379:2379 \\
      -p 2380:2380 \\
      --volume=${DATA_DIR}:/etcd-data \\
      --name etcd ${REGISTRY}:${ETCD_VERSION} \\
      /usr/local/bin/etcd \\
      --data-dir=/etcd-data --name ${THIS_NAME} \\
      --initial-advertise-peer-urls http://${THIS_IP}:2380 --listen-peer-urls http://0.0.0.0:2380 \\
      --advertise-client-urls http://${THIS_IP}:2379 --listen-client-urls http://0.0.0.0:2379 \\
      --initial-cluster ${CLUSTER} \\
      --initial-cluster-state ${CLUSTER_STATE} --initial-cluster-token ${TOKEN}
    """
  }

  /// §2.2, on three machines, and `docker exec` on the first.
  @Test func threeNodes() {
    let starts = (1...3).map {
      "cat >node\($0) <<'END'\n\(Self.machine($0))\nEND\non \($0) bash node\($0) >log\($0) 2>&1 &\n"
    }
    let done = Self.run(
      (1...3).map { "10.20.30.\($0)" },
      """
      \(starts.joined())
      \(DNSNetwork.until("on 1 etcdctl endpoint health --cluster >/dev/null 2>&1"))
      on 1 docker exec etcd /bin/sh -c "export ETCDCTL_API=3 && /usr/local/bin/etcdctl put foo bar"
      on 3 docker exec etcd /bin/sh -c "export ETCDCTL_API=3 && /usr/local/bin/etcdctl get foo"
      on 2 etcdctl member list | cut -d, -f2- | sort
      ls machine*/var/lib/etcd
      """)
    #expect(
      done.output
        == "OK\nfoo\nbar\n"
        + (1...3).map {
          " started, etcd-node-\($0 - 1), http://10.20.30.\($0):2380, http://10.20.30.\($0):2379, false\n"
        }.joined()
        + (1...3).map { "machine\($0)/var/lib/etcd:\nmember\n" }.joined(separator: "\n"), "\(done)")
  }

  /// The last section: the third of three, as it stands, beside the two that its list names.
  @Test func theLastLine() {
    func line(_ number: Int, _ ports: (client: Int, peer: Int), _ address: String) -> String {
      "docker run -d -p \(ports.client):\(ports.client) -p \(ports.peer):\(ports.peer) --restart=always --net etcdnet --ip \(address) --name etcd2 quay.io/coreos/etcd /usr/local/bin/etcd --name autumn-client\(number) -advertise-client-urls http://\(address):\(ports.client) -listen-client-urls http://0.0.0.0:\(ports.client) -initial-advertise-peer-urls http://\(address):\(ports.peer) -listen-peer-urls http://0.0.0.0:\(ports.peer) -initial-cluster-token etcd-cluster -initial-cluster autumn-client0=http://192.167.0.168:2380,autumn-client1=http://192.167.0.170:2480,autumn-client2=http://192.167.0.172:2580 -initial-cluster-state new"
    }
    let lines = [
      line(0, (2379, 2380), "192.167.0.168"), line(1, (2479, 2480), "192.167.0.170"),
      line(2, (2579, 2580), "192.167.0.172"),
    ]
    let starts = lines.enumerated().map {
      "cat >last\($0) <<'END'\n\($1)\nEND\non \($0 + 1) bash last\($0) >/dev/null\n"
    }
    let done = Self.run(
      ["192.167.0.168", "192.167.0.170", "192.167.0.172"],
      """
      \(starts.joined())
      \(DNSNetwork.until("on 3 etcdctl --endpoints http://127.0.0.1:2579 put foo bar 2>/dev/null"))
      on 1 etcdctl get foo
      """)
    #expect(done.output == "OK\nfoo\nbar\n", "\(done)")
  }
}
