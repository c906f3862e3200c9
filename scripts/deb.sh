#!/bin/sh
# Makes Debian packages of release builds.
#
#   scripts/deb.sh [FOLDER FOR THE PACKAGES]
#
# VERSION names another version than the programs have. Needs dpkg-dev.
set -eu
cd "$(dirname "$0")/.."

out=${1:-.build/packages}
bin=${BIN:-.build/release}
SOURCE_DATE_EPOCH=$(scripts/source-date.sh)
export SOURCE_DATE_EPOCH
etcd=$("$bin/etcd" --version | sed -n 's/^etcd Version: //p')
own=$("$bin/etcd" --version | sed -n 's/.*etcd in Swift \([0-9.]*\).*/\1/p')
version=${VERSION:-$own}
machine=$(dpkg --print-architecture)
if ! command -v dpkg-shlibdeps >/dev/null; then
  echo "deb: no dpkg-shlibdeps; please install dpkg-dev" >&2
  exit 1
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
umask 022
tree=$scratch/tree
DESTDIR=$tree PREFIX=/usr scripts/install.sh "$bin"
strip --strip-unneeded --remove-section=.comment --remove-section=.note "$tree"/usr/bin/*
for page in "$tree"/usr/share/man/man1/*; do gzip -9n "$page"; done
# Debian's places.
mv "$tree/usr/share/zsh/site-functions" "$tree/usr/share/zsh/vendor-completions"
mkdir "$tree/lib"
mv "$tree/usr/lib/systemd" "$tree/lib/systemd"

# A user of its own owns the data, as with Debian's etcd-server, whose directory and settings are taken over.
for unit in "$tree"/lib/systemd/system/*.service; do
  sed -i -e 's/^DynamicUser=yes$/User=etcd\nGroup=etcd/' -e '/^# Copy to /d' \
    -e 's/^# A member as a systemd service\. .*/# A member as a systemd service, with the settings of \/etc\/etcd\/etcd.env./' "$unit"
done
sed -i 's|^EnvironmentFile=/etc/etcd/etcd.env$|&\nEnvironmentFile=-/etc/default/etcd|' \
  "$tree/lib/systemd/system/etcd.service"
install -D -m 644 conf/etcd.sysusers "$tree/usr/lib/sysusers.d/etcd-swift.conf"
install -D -m 644 conf/etcd.tmpfiles "$tree/usr/lib/tmpfiles.d/etcd-swift.conf"
mkdir -p "$tree/etc/etcd"
sed 's|/var/lib/etcd$|/var/lib/etcd/default|' conf/etcd.env >"$tree/etc/etcd/etcd.env"
sed -i 's|^data-dir: /var/lib/etcd$|&/default|' "$tree/usr/share/doc/etcd-swift/examples/etcd.yml"

# What belongs to a package: the files of its programs and what is given besides.
pack() {
  package=etcd-swift-$1
  programs=$2
  shift 2
  root=$scratch/$package
  mkdir -p "$root/DEBIAN" "$root/usr/share/doc/$package"
  for program in $programs; do
    set -- "$@" "usr/bin/$program" "usr/share/man/man1/$program.1.gz" \
      "usr/share/bash-completion/completions/$program" "usr/share/zsh/vendor-completions/_$program" \
      "usr/share/fish/vendor_completions.d/$program.fish"
  done
  for file in "$@"; do
    mkdir -p "$root/$(dirname "$file")"
    mv "$tree/$file" "$root/$file"
  done
  {
    echo "etcd-swift ($version) unstable; urgency=medium"
    echo
    echo "  * See CHANGELOG.md in the sources."
    echo
    echo " -- etcd in Swift <etcd-swift@localhost>  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")"
  } | gzip -9n >"$root/usr/share/doc/$package/changelog.gz"
  (cd "$root" && find etc -type f 2>/dev/null | sort | sed 's|^|/|') >"$root/DEBIAN/conffiles" || true
  [ -s "$root/DEBIAN/conffiles" ] || rm "$root/DEBIAN/conffiles"
  for script in postinst prerm postrm; do
    file=conf/debian/${package#etcd-swift-}.$script
    if [ -e "$file" ]; then install -m 755 "$file" "$root/DEBIAN/$script"; fi
  done
  (cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\n' | LC_ALL=C sort \
    | xargs -d '\n' md5sum) >"$root/DEBIAN/md5sums"
  # It wants the sources of a Debian package around it.
  mkdir -p "$scratch/source/debian"
  cp conf/debian/control "$scratch/source/debian/control"
  libraries=$(cd "$scratch/source" && dpkg-shlibdeps -O --warnings=0 \
    $(for program in $programs; do echo "-e$root/usr/bin/$program"; done) | sed 's/^shlibs:Depends=//')
  {
    sed -n "/^Package: $package\$/,/^\$/p" conf/debian/control | sed '/^$/d' \
      | sed -e "s/@shlibs@/$libraries/" -e "s/@etcd@/$etcd/" \
        -e "s/^Architecture: any/Architecture: $machine\nVersion: $version\nSource: etcd-swift/" \
        -e "s/^Description:/Installed-Size: $(du -k -s --apparent-size "$root" | cut -f 1)\n&/"
  } >"$scratch/control"
  {
    sed '/^Description:/,$d' "$scratch/control"
    sed -n '1,/^$/{/^Section:/p;/^Priority:/p;/^Maintainer:/p;/^Homepage:/p}' conf/debian/control
    sed -n '/^Description:/,$p' "$scratch/control"
  } >"$root/DEBIAN/control"
  mkdir -p "$out"
  dpkg-deb --root-owner-group -Zxz --build "$root" "$out/${package}_${version}_$machine.deb"
}

pack server "etcd etcdutl" etc/etcd/etcd.env lib/systemd/system/etcd.service \
  lib/systemd/system/etcd@.service usr/lib/sysusers.d/etcd-swift.conf \
  usr/lib/tmpfiles.d/etcd-swift.conf usr/share/doc/etcd-swift/examples/etcd.yml \
  usr/share/doc/etcd-swift/examples/etcd.env
pack client etcdctl
pack devcluster devcluster
