#!/bin/sh
# Downloads Debian's stock kernel for amd64 and unpacks it, without installing it: fetch-kernel.sh FOLDER
# What it does is safe to repeat; a folder that holds a kernel is left alone. Needs apt-get and dpkg-deb.
set -eu
folder=$1
if ls "$folder"/boot/vmlinuz-* >/dev/null 2>&1; then exit 0; fi
package=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[^ ]*\).*/\1/p' | head -n 1)
[ -n "$package" ] || { echo "apt knows no linux-image-amd64; is this Debian, and did apt-get update run?" >&2; exit 1; }
rm -rf "$folder" "$folder.part"
mkdir -p "$folder.part"
(cd "$folder.part" && apt-get download "$package")
dpkg-deb -x "$folder.part"/*.deb "$folder.part"
rm "$folder.part"/*.deb
# Under its name only once it is whole.
mv "$folder.part" "$folder"
