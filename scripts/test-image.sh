#!/bin/sh
# Takes the image apart as an engine does, and runs it with the arguments that etcd's guide gives to docker:
# one member, then three, and a command inside. As root; in networks of their own.
#
#   scripts/test-image.sh [FOLDER WITH THE PROGRAMS]
set -eu
cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ]; then
  echo "test-image: chroot and networks of their own need root" >&2
  exit 1
fi
BIN=${1:-.build/release}
export BIN
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
fail() {
  echo "test-image: $*" >&2
  exit 1
}

scripts/image.sh "$work/image" >/dev/null
scripts/image.sh "$work/again" >/dev/null
diff -r "$work/image" "$work/again" >/dev/null || fail "the same sources gave other bytes"

# --- every blob is what its name says, and everything is where it is said to be
python3 - "$work/image" "$work/root" <<'END' || fail "no OCI image layout"
import gzip, hashlib, io, json, os, sys, tarfile
image, root = sys.argv[1:]
assert json.load(open(f"{image}/oci-layout")) == {"imageLayoutVersion": "1.0.0"}
def blob(descriptor):
    kind, name = descriptor["digest"].split(":")
    data = open(f"{image}/blobs/{kind}/{name}", "rb").read()
    assert hashlib.sha256(data).hexdigest() == name and len(data) == descriptor["size"], name
    return data
index = json.load(open(f"{image}/index.json"))
manifest = json.loads(blob(index["manifests"][0]))
config = json.loads(blob(manifest["config"]))
assert config["config"]["Cmd"] == ["/usr/local/bin/etcd"] and "Entrypoint" not in config["config"]
assert set(config["config"]["ExposedPorts"]) == {"2379/tcp", "2380/tcp"}
assert len(os.listdir(f"{image}/blobs/sha256")) == 2 + len(manifest["layers"])
for layer, name in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
    data = gzip.decompress(blob(layer))
    assert "sha256:" + hashlib.sha256(data).hexdigest() == name
    tarfile.open(fileobj=io.BytesIO(data)).extractall(root)
END
[ -e "$work/image/blobs/sha256/$(sha256sum <"$work/image-context/root.tar.gz" | cut -d ' ' -f 1)" ] \
  || fail "engines that build get another root"
[ -e "$work/image-context/Containerfile" ] || fail "no Containerfile"

# --- a bare root has no /proc, and no program runs with its flags forgotten
for program in etcd etcdctl etcdutl; do
  if chroot "$work/root" /usr/local/bin/$program --version >"$work/bare" 2>&1; then fail "$program runs without /proc"; fi
  grep -q 'the command line cannot be read' "$work/bare" || fail "$program does not say that /proc is missing"
done

# --- guide 001, 2.1 and 2.2: what docker run gets behind the image's name
cat >"$work/one" <<'END'
ip link set lo up
# As engines do.
mount -t proc proc "$1/proc" && mount --bind /dev "$1/dev"
NODE1=127.0.0.1
chroot "$1" /usr/local/bin/etcd \
  --data-dir=/etcd-data --name node1 \
  --initial-advertise-peer-urls http://${NODE1}:2380 --listen-peer-urls http://0.0.0.0:2380 \
  --advertise-client-urls http://${NODE1}:2379 --listen-client-urls http://0.0.0.0:2379 \
  --initial-cluster node1=http://${NODE1}:2380 >"$2/one.log" 2>&1 &
for try in $(seq 50); do
  chroot "$1" /usr/local/bin/etcdctl --command-timeout=1s endpoint health >/dev/null 2>&1 && break
  sleep 0.2
done
chroot "$1" /usr/local/bin/etcdctl --endpoints=http://${NODE1}:2379 member list | grep -q started || exit 1
chroot "$1" /bin/sh -c "export ETCDCTL_API=3 && /usr/local/bin/etcdctl put foo bar" | grep -qx OK || exit 1
chroot "$1" /usr/local/bin/etcdctl get foo | grep -qx bar
END
cat >"$work/three" <<'END'
ip link set lo up
# As engines do.
mount -t proc proc "$1/proc" && mount --bind /dev "$1/dev"
for n in 1 2 3; do ip addr add 10.255.0.$n/24 dev lo; done
TOKEN=my-etcd-token CLUSTER_STATE=new
NAME_1=etcd-node-0 NAME_2=etcd-node-1 NAME_3=etcd-node-2
HOST_1=10.255.0.1 HOST_2=10.255.0.2 HOST_3=10.255.0.3
CLUSTER=${NAME_1}=http://${HOST_1}:2380,${NAME_2}=http://${HOST_2}:2380,${NAME_3}=http://${HOST_3}:2380
# The guide's members listen at all addresses of a machine each; these share one.
for n in 1 2 3; do
  eval "THIS_NAME=\$NAME_$n THIS_IP=\$HOST_$n"
  chroot "$1" /usr/local/bin/etcd \
    --data-dir=/etcd-data-$n --name ${THIS_NAME} \
    --initial-advertise-peer-urls http://${THIS_IP}:2380 --listen-peer-urls http://${THIS_IP}:2380 \
    --advertise-client-urls http://${THIS_IP}:2379 --listen-client-urls http://${THIS_IP}:2379 \
    --initial-cluster ${CLUSTER} \
    --initial-cluster-state ${CLUSTER_STATE} --initial-cluster-token ${TOKEN} >"$2/three$n.log" 2>&1 &
done
for try in $(seq 50); do
  chroot "$1" /usr/local/bin/etcdctl --command-timeout=1s --endpoints=http://${HOST_1}:2379 endpoint health --cluster >/dev/null 2>&1 && break
  sleep 0.2
done
[ "$(chroot "$1" /usr/local/bin/etcdctl --endpoints=http://${HOST_2}:2379 member list | grep -c started)" = 3 ] || exit 1
chroot "$1" /usr/local/bin/etcdctl --endpoints=http://${HOST_1}:2379 put foo bar | grep -qx OK || exit 1
chroot "$1" /usr/local/bin/etcdctl --endpoints=http://${HOST_3}:2379 get foo | grep -qx bar
END
for script in one three; do
  # What is left of it ends with its numbering of processes.
  unshare --net --mount --pid --fork --kill-child sh "$work/$script" "$work/root" "$work" \
    || { tail -n 5 "$work"/*.log >&2; fail "guide 001 with $script member(s)"; }
done
echo "test-image: whole, the same bytes twice, and runs as the guide says"
