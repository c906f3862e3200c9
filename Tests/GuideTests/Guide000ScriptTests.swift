import Foundation
import TestSupport
import Testing

/// Guide 000, section 1, "脚本样例": the guide's script starts a member by variables; three of them are a cluster.
@Suite(.enabled(if: DNSNetwork.canRun)) struct Guide000ScriptTests {
  /// The script, but for the node that it names, its data directory, and what clients of its own machine use.
  private static func script(_ number: Int) -> String {
    #"""
    #!/bin/sh
    #
    # This script starts a member of a new etcd v3 cluster.
    #

    # The value is "new" or "existing".
    CLUSTER_STATUS=new
    CURRENT_NODE=node\#(number)
    CURRENT_HOST=10.0.0.10\#(number)
    ALL_HOSTS=node1=10.0.0.101,node2=10.0.0.102,node3=10.0.0.103

    PROTOCOL=http
    CLIENT_PORT=2379
    ADVERTISE_PORT=2380
    CLUSTER_NAME=etcd_cluster
    DATA_DIR=data\#(number)/${CLUSTER_NAME}
    WAL_DIR=

    ETCD_CMD=`which etcd`
    ENABLE_OLD_CLIENT_PORT=0

    #######################################################################
    CURRENT_DIR=${PWD}

    if [[ "CMD_$1" == "CMD_add" ]]; then
        CLUSTER_STATUS=existing
    fi

    if [[ -z $CURRENT_NODE ]]; then
        CURRENT_NODE=`hostname`
    fi

    if [[ -z $DATA_DIR ]]; then
        DATA_DIR=${CURRENT_DIR}
    fi

    CLUSTER_HOST_URLS=
    for node in `echo $ALL_HOSTS | sed "s/,/ /g"`
    do
        key=`echo $node | awk -F'=' '{print $1}'`
        value=`echo $node | awk -F'=' '{print $2}'`
        if [[ -z $CLUSTER_HOST_URLS ]]; then
            CLUSTER_HOST_URLS=${key}=${PROTOCOL}://${value}:${ADVERTISE_PORT}
        else
            CLUSTER_HOST_URLS=${CLUSTER_HOST_URLS},${key}=${PROTOCOL}://${value}:${ADVERTISE_PORT}
        fi
    done

    CLUSTER_LISTEN_CLIENT_URLS_OLD=${PROTOCOL}://127.0.0.1:4001
    CLUSTER_LISTEN_CLIENT_URLS=${PROTOCOL}://${CURRENT_HOST}:${CLIENT_PORT}\#(number == 1 ? ",${PROTOCOL}://127.0.0.1:${CLIENT_PORT}" : "")

    # if [[ ${CLIENT_PORT} -ne 4001 ]]; then
    if [[ ENABLE_OLD_CLIENT_PORT -ne 0 ]]; then
        CLUSTER_LISTEN_CLIENT_URLS=${CLUSTER_LISTEN_CLIENT_URLS},${CLUSTER_LISTEN_CLIENT_URLS_OLD}
    fi

    CLUSTER_LISTEN_PEER_URLS=${PROTOCOL}://${CURRENT_HOST}:${ADVERTISE_PORT}

    #######################################################################
    ### Member
    export ETCD_NAME=${CURRENT_NODE}
    export ETCD_DATA_DIR=${DATA_DIR}
    export ETCD_WAL_DIR=${WAL_DIR}
    export ETCD_LISTEN_PEER_URLS=${CLUSTER_LISTEN_PEER_URLS}
    export ETCD_LISTEN_CLIENT_URLS=${CLUSTER_LISTEN_CLIENT_URLS}

    ### Cluster
    export ETCD_ADVERTISE_CLIENT_URLS=${PROTOCOL}://${CURRENT_HOST}:${CLIENT_PORT}
    export ETCD_INITIAL_CLUSTER_STATE=${CLUSTER_STATUS}
    export ETCD_INITIAL_CLUSTER_TOKEN=${CLUSTER_NAME}
    export ETCD_INITIAL_ADVERTISE_PEER_URLS=${PROTOCOL}://${CURRENT_HOST}:${ADVERTISE_PORT}
    export ETCD_INITIAL_CLUSTER=${CLUSTER_HOST_URLS}

    # Start the ECTD cluster.
    $ETCD_CMD

    if [[ $? -ne 0 ]]; then {
        echo "Failed to start the member[${CURRENT_NODE}] in the cluster[${CLUSTER_NAME}]"
        exit 1
    }
    """#
  }

  /// It is written for bash, whatever its first line says, and its last `if` has no `fi`: a shell reads that far only when
  /// the server has ended. `member remove` is §5.
  @Test func threeScriptsAreACluster() {
    let network = DNSNetwork(addresses: (1...3).map { "10.0.0.10\($0)" })
    let starts = (1...3).map {
      "cat >start\($0) <<'END'\n\(Self.script($0))\nEND\nbash start\($0) >log\($0) 2>&1 &\n"
    }
    let done = network.run(
      """
      \(starts.joined())
      \(DNSNetwork.until("ETCDCTL_API=3 etcdctl put started yes >/dev/null 2>&1"))
      export ETCDCTL_API=2
      etcdctl member list | sed 's/^[0-9a-f]*: //; s/ isLeader=.*//' | sort
      # A cluster takes changes when it is five seconds old.
      \(DNSNetwork.until("etcdctl member remove $(etcdctl member list | grep name=node3 | cut -d: -f1) 2>/dev/null | cut -d' ' -f1,4- | grep Removed"))
      # The one that left may have been the leader: the other two are without one for an election.
      \(DNSNetwork.until("etcdctl member list 2>/dev/null >left && test -s left"))
      wc -l <left
      """)
    #expect(
      done.output
        == (1...3).map {
          "name=node\($0) peerURLs=http://10.0.0.10\($0):2380 clientURLs=http://10.0.0.10\($0):2379\n"
        }.joined() + "Removed from cluster\n2\n", "\(done)")
  }
}
