#!/bin/sh
# Makes an OCI image layout of release builds: a root with etcd, etcdctl, etcdutl, the libraries they need and a
# shell, and what a Containerfile needs to make the same with a container engine.
#
#   scripts/image.sh [FOLDER FOR THE IMAGE]
#
# The same programs and libraries give the same bytes. A Debian machine, for it knows whose the libraries are.
set -eu
cd "$(dirname "$0")/.."

out=${1:-.build/image}
bin=${BIN:-.build/release}
epoch=$(scripts/source-date.sh)
version=$("$bin/etcd" --version | sed -n 's/.*etcd in Swift \([0-9.]*\).*/\1/p')
machine=$(dpkg --print-architecture)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
umask 022
root=$scratch/root

# --- the root
mkdir -p "$root/usr/local/bin" "$root/etc" "$root/var/lib/etcd" "$root/var/etcd" "$root/tmp" \
  "$root/proc" "$root/sys" "$root/dev"
chmod 1777 "$root/tmp"
# As in Debian, libraries have one place and two names.
for folder in bin lib lib64; do
  mkdir -p "$root/usr/$folder"
  ln -s "usr/$folder" "$root/$folder"
done
for program in etcd etcdctl etcdutl; do
  install -m 755 "$bin/$program" "$root/usr/local/bin/$program"
  strip --strip-unneeded --remove-section=.comment --remove-section=.note "$root/usr/local/bin/$program"
done
install -m 755 "$(readlink -f /bin/sh)" "$root/usr/bin/sh"
for program in "$root"/usr/local/bin/* "$root/usr/bin/sh"; do
  ldd "$program" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p'
done | sort -u >"$scratch/libraries"
while read -r library; do
  case $library in
  /usr/*) place=$library ;;
  *) place=/usr$library ;;
  esac
  install -D -m 755 "$(readlink -f "$library")" "$root$place"
  # Whose it is, and on which terms.
  owner=$(dpkg -S "$(readlink -f "$library")" 2>/dev/null || dpkg -S "$library" 2>/dev/null \
    || dpkg -S "${library#/usr}" 2>/dev/null || true)
  owner=$(echo "$owner" | sed -n '1s/[:,].*//p')
  if [ -n "$owner" ] && [ -e "/usr/share/doc/$owner/copyright" ]; then
    install -D -m 644 "/usr/share/doc/$owner/copyright" "$root/usr/share/doc/$owner/copyright"
  fi
done <"$scratch/libraries"
printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
# Engines put their own in its place.
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
  install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
fi

# --- layer, configuration, manifest, index
# - Source: OCI image-spec 1.0, image-layout.md, manifest.md, config.md.
tar --create --file "$scratch/layer.tar" --directory "$root" --sort=name --mtime="@$epoch" \
  --owner=0 --group=0 --numeric-owner --format=gnu .
gzip -9n -k "$scratch/layer.tar"

sum() { sha256sum "$1" | cut -d ' ' -f 1; }
size() { stat -c %s "$1"; }
rm -rf "$out"
mkdir -p "$out/blobs/sha256"
keep() { install -m 644 "$1" "$out/blobs/sha256/$(sum "$1")"; }
created=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)

cat >"$scratch/config" <<END
{"created":"$created","architecture":"$machine","os":"linux","config":{"ExposedPorts":{"2379/tcp":{},"2380/tcp":{}},\
"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"Cmd":["/usr/local/bin/etcd"],\
"Labels":{"org.opencontainers.image.title":"etcd","org.opencontainers.image.version":"$version"}},\
"rootfs":{"type":"layers","diff_ids":["sha256:$(sum "$scratch/layer.tar")"]},\
"history":[{"created":"$created","created_by":"scripts/image.sh"}]}
END
cat >"$scratch/manifest" <<END
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",\
"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:$(sum "$scratch/config")",\
"size":$(size "$scratch/config")},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip",\
"digest":"sha256:$(sum "$scratch/layer.tar.gz")","size":$(size "$scratch/layer.tar.gz")}]}
END
keep "$scratch/layer.tar.gz"
keep "$scratch/config"
keep "$scratch/manifest"
cat >"$out/index.json" <<END
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",\
"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:$(sum "$scratch/manifest")",\
"size":$(size "$scratch/manifest"),"platform":{"architecture":"$machine","os":"linux"},\
"annotations":{"org.opencontainers.image.ref.name":"$version"}}]}
END
printf '{"imageLayoutVersion":"1.0.0"}' >"$out/oci-layout"

# --- for engines that build
mkdir -p "$out-context"
install -m 644 "$scratch/layer.tar.gz" "$out-context/root.tar.gz"
install -m 644 conf/Containerfile "$out-context/Containerfile"
echo "$out: etcd in Swift $version, $(du -h "$scratch/layer.tar.gz" | cut -f 1)"
