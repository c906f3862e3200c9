#!/bin/sh
# Installs programs, manual pages, completions, units and examples.
#
#   PREFIX=/usr/local DESTDIR= scripts/install.sh [FOLDER WITH THE PROGRAMS]
#
# Under another PREFIX than /usr the units, users and directories are found by systemd for /usr/local only.
set -eu
cd "$(dirname "$0")/.."

bin=${1:-.build/release}
prefix=${PREFIX:-/usr/local}
root=${DESTDIR:-}$prefix
share=$root/share
manuals=$bin/etcd-manuals
programs="etcd etcdctl etcdutl devcluster"

for program in $programs etcd-manuals; do
  if [ ! -x "$bin/$program" ]; then
    echo "install: no $bin/$program; please run: make release" >&2
    exit 1
  fi
done

# Under another name first: a program that runs cannot be written over, and goes on with its old file.
put() {
  install -D -m "$1" "$2" "$3.new"
  mv -f "$3.new" "$3"
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

for program in $programs; do
  put 755 "$bin/$program" "$root/bin/$program"
  "$manuals" man $program >"$scratch/man"
  put 644 "$scratch/man" "$share/man/man1/$program.1"
  "$manuals" completion bash $program >"$scratch/bash"
  put 644 "$scratch/bash" "$share/bash-completion/completions/$program"
  "$manuals" completion zsh $program >"$scratch/zsh"
  put 644 "$scratch/zsh" "$share/zsh/site-functions/_$program"
  "$manuals" completion fish $program >"$scratch/fish"
  put 644 "$scratch/fish" "$share/fish/vendor_completions.d/$program.fish"
done

for unit in etcd.service etcd@.service; do
  sed "s|/usr/local/bin/etcd|$prefix/bin/etcd|g" "conf/$unit" >"$scratch/unit"
  put 644 "$scratch/unit" "$root/lib/systemd/system/$unit"
done
for example in etcd.env etcd.yml; do
  put 644 "conf/$example" "$share/doc/etcd-swift/examples/$example"
done
for text in README.md CHANGELOG.md; do put 644 "$text" "$share/doc/etcd-swift/$text"; done
