#!/bin/sh
# Installs, starts, upgrades, removes and purges the packages in a Debian of their own, from the mirror that
# this machine's apt uses. As root; members run in a network of their own.
#
#   scripts/test-deb.sh [FOLDER WITH THE PROGRAMS]
set -eu
cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ]; then
  echo "test-deb: chroot and networks of their own need root" >&2
  exit 1
fi
BIN=${1:-.build/release}
export BIN
. /etc/os-release
work=$(mktemp -d)
root=$work/root
finish() {
  if mountpoint -q "$root/proc"; then umount "$root/proc"; fi
  rm -rf --one-file-system "$work"
}
trap finish EXIT

fail() {
  echo "test-deb: $*" >&2
  exit 1
}

# --- packages: the same bytes twice, and a newer version
scripts/deb.sh "$work/first" >/dev/null
scripts/deb.sh "$work/second" >/dev/null
(cd "$work/first" && sha256sum ./*.deb) >"$work/sums"
(cd "$work/second" && sha256sum --quiet -c "$work/sums") || fail "the same sources gave other bytes"
VERSION=$(dpkg-deb -f "$work"/first/etcd-swift-server_*.deb Version)+next scripts/deb.sh "$work/next" >/dev/null

# --- a Debian
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' \
  | awk -v name="$VERSION_CODENAME" '$2 == name { print $1; exit }')
[ -n "$mirror" ] || fail "this machine's apt knows no mirror of $VERSION_CODENAME"
debootstrap --variant=minbase "$VERSION_CODENAME" "$root" "$mirror" >"$work/log" 2>&1 \
  || { tail "$work/log" >&2; fail "no Debian to test in"; }
mount -t proc proc "$root/proc"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"
inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
apt() { inside apt-get -y -qq --no-install-recommends "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "apt-get $*"; }; }
packages() {
  mkdir -p "$root/packages"
  for part in server client devcluster; do
    cp "$work/$1/etcd-swift-${part}"_*.deb "$root/packages/etcd-swift-$part.deb"
  done
}
has() { [ -e "$root$1" ] || fail "no $1 after $2"; }
lacks() { [ ! -e "$root$1" ] || fail "$1 is left after $2"; }

# The service's program, user and settings, as the unit has them.
start() {
  unit=$root/lib/systemd/system/etcd.service
  grep -qx User=etcd "$unit" || fail "the unit has no user"
  program=$(sed -n 's/^ExecStart=//p' "$unit")
  # shellcheck disable=SC2016 # for the shell inside
  unshare --net --kill-child --fork sh -c 'ip link set lo up && exec chroot "$0" sh -c "$1"' "$root" "
    set -a; . /etc/etcd/etcd.env; set +a
    setpriv --reuid=etcd --regid=etcd --clear-groups $program >/tmp/member 2>&1 & member=\$!
    for try in \$(seq 50); do etcdctl --command-timeout=1s endpoint health >/dev/null 2>&1 && break; sleep 0.2; done
    $1
    code=\$?
    kill \$member; wait \$member
    exit \$code" || { tail "$root/tmp/member" >&2; fail "$2"; }
}

# --- Debian's own is replaced
apt update
apt install etcd-server etcd-client systemd-standalone-sysusers
packages first
apt install /packages/etcd-swift-server.deb /packages/etcd-swift-client.deb /packages/etcd-swift-devcluster.deb
[ "$(inside dpkg-query -W -f '${db:Status-Status}' etcd-server 2>/dev/null)" != installed ] || fail "two servers"
for file in /usr/bin/etcd /usr/bin/etcdctl /usr/bin/etcdutl /usr/bin/devcluster /etc/etcd/etcd.env \
  /usr/share/man/man1/etcdctl.1.gz /usr/share/bash-completion/completions/etcdctl \
  /usr/share/zsh/vendor-completions/_etcd /usr/share/fish/vendor_completions.d/etcdutl.fish \
  /usr/lib/sysusers.d/etcd-swift.conf /usr/lib/tmpfiles.d/etcd-swift.conf \
  /etc/systemd/system/multi-user.target.wants/etcd.service; do
  [ -e "$root$file" ] || [ -L "$root$file" ] || fail "no $file after the installation"
done
[ "$(inside stat -c %U /var/lib/etcd)" = etcd ] || fail "/var/lib/etcd is not etcd's"
inside dpkg --verify etcd-swift-server etcd-swift-client etcd-swift-devcluster || fail "files differ from the package's"
inside etcd --version | grep -q 'etcd in Swift' || fail "another etcd runs"
start "etcdctl put kept value && etcdctl doctor" "a fresh member"

# --- upgrade
echo '# changed here' >>"$root/etc/etcd/etcd.env"
packages next
apt install /packages/etcd-swift-server.deb /packages/etcd-swift-client.deb /packages/etcd-swift-devcluster.deb
inside dpkg-query -W -f '${Version}\n' etcd-swift-server | grep -q next || fail "nothing was upgraded"
grep -q 'changed here' "$root/etc/etcd/etcd.env" || fail "the upgrade took the settings away"
start "etcdctl get kept | grep -x value" "the data after an upgrade"

# --- remove, and come back
apt remove etcd-swift-server
lacks /usr/bin/etcd remove
has /etc/etcd/etcd.env remove
has /var/lib/etcd/default/member/wal remove
apt install /packages/etcd-swift-server.deb
start "etcdctl get kept | grep -x value" "the data after a removal"

# --- purge
inside apt-get -y -qq purge etcd-swift-server etcd-swift-client etcd-swift-devcluster >"$work/log" 2>&1
grep -q 'the data in /var/lib/etcd stay' "$work/log" || fail "the purge does not tell of the data"
lacks /etc/etcd/etcd.env purge
lacks /etc/systemd/system/multi-user.target.wants/etcd.service purge
has /var/lib/etcd/default/member/wal purge
left=$(find "$root/usr" "$root/lib/systemd" "$root/etc" -name '*etcd-swift*' ! -path '*/dpkg/*' 2>/dev/null)
[ -z "$left" ] || fail "left after purge: $left"
echo "test-deb: installed over Debian's, started, upgraded, removed, purged; the data stayed"
