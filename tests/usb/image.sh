#!/bin/sh
# Packs what a guest boots into: image.sh KERNEL IMAGE FOLDER PROGRAM...
# KERNEL is an unpacked kernel package, IMAGE the file to write, FOLDER becomes /test in the guest, and each PROGRAM goes
# to /bin with the libraries that it is linked to.
set -eu
kernel=$1 image=$2 folder=$3
shift 3
version=$(ls "$kernel/lib/modules")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/bin "$root"/dev "$root"/proc "$root"/sys "$root"/tmp "$root"/etc "$root"/out "$root"/modules "$root"/test
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$(dirname "$0")/guest/init" "$root/init"
cp "$(dirname "$0")"/guest/*.sh "$root/bin/"
cp -rL "$folder"/. "$root/test/"
for program in "$@"; do
  cp "$program" "$root/bin/"
  # Libraries keep their places; one that is linked statically has none.
  for library in $(ldd "$program" 2>/dev/null | grep -o '/[^ ]*'); do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
done
# Each module once, behind those that it needs.
[ -e "$kernel/lib/modules/$version/modules.dep.bin" ] || depmod -b "$kernel" "$version"
for module in virtio_pci virtio_blk dummy_hcd usb_f_fs usb_f_acm cdc_acm vhci_hcd usbip_vudc; do
  modprobe -d "$kernel" -S "$version" --show-depends "$module" | awk '{ print $2 }'
done | awk '!seen[$0]++' | while read -r file; do
  cp "$file" "$root/modules/"
  basename "$file" >>"$root/modules/order"
done
# The folder is nobody else's to read so far; the guest has other users.
chmod 755 "$root"
(cd "$root" && find . | cpio -o -H newc --quiet -R 0:0) >"$image"
