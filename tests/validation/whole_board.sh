#!/usr/bin/env bash
# A whole board from nothing to nothing: Debian with its kernel, systemd and OpenSSH in QEMU, dummy_hcd as the USB port, and
# `kurtoscope flash` over a real ssh. Flashed without a port, with one, while another gadget has it, with an engine that is
# not there; measured over usb:, restarted, removed.
#
#   tests/validation/whole_board.sh KURTOSCOPE KURTOSCOPE_DEVICE [FOLDER]
#
# Both programs are built for this machine. Needs root, debootstrap, qemu-system-x86_64, an ssh client and 3 GB in FOLDER, where the
# image stays for the next time. The board's Debian is this machine's release, from the mirror that apt is configured with. Takes
# some minutes, most of them for making the image. Ends with 75 where none can be made.
set -euo pipefail
kurtoscope=$(realpath "$1")
device=$(realpath "$2")
folder=$(realpath -m "${3:-/tmp/kurtoscope-whole-board}")
port=2227
mkdir -p "$folder/path" "$folder/boards/test-board"
cd "$folder"

step() { printf '\n== %s\n' "$*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

if [ ! -e image ]; then
  step "a Debian with a kernel, systemd and an ssh server"
  rm -rf tree key key.pub
  ssh-keygen -q -t ed25519 -N "" -f key
  release=$(. /etc/os-release && echo "$VERSION_CODENAME")
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $release" 'Origin: Debian' | head -n 1)
  [ -n "$mirror" ] || { echo "apt is not configured with a Debian mirror" >&2; exit 75; }
  debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,openssh-server,kmod,linux-image-amd64,initramfs-tools \
    "$release" tree "$mirror" >debootstrap.log || exit 75
  install -D -m 600 key.pub tree/root/.ssh/authorized_keys
  mkdir -p tree/boot/firmware
  printf 'arm_64bit=1' >tree/boot/firmware/config.txt
  printf '[Match]\nName=en*\n[Network]\nDHCP=yes\n' >tree/etc/systemd/network/any.network
  ln -sf /lib/systemd/system/systemd-networkd.service tree/etc/systemd/system/multi-user.target.wants/
  : >tree/etc/machine-id
  mv tree/boot/vmlinuz-* kernel
  mv tree/boot/initrd.img-* initrd
  truncate -s 2G image.new
  mkfs.ext4 -q -F -d tree image.new || exit 75
  mv image.new image
  rm -rf tree
fi

cat >config <<CONFIG
Host board
  HostName 127.0.0.1
  Port $port
  User root
  IdentityFile $folder/key
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
CONFIG
printf '#!/bin/sh\nexec %s -F %s/config "$@"\n' "$(command -v ssh)" "$folder" >path/ssh
chmod +x path/ssh
export PATH=$folder/path:$PATH
cat >boards/test-board/board.toml <<'BOARD'
name = "test-board"
title = "A board in QEMU"
chip = "none"
kind = "linux-gpu"
target = "x86_64-unknown-linux-gnu"
links = ["usb:"]
wiring = "None."
[firmware]
manifest = "Cargo.toml"
binary = "kurtoscope-device"
[flash]
method = "ssh"
user = "root"
[linux]
engine = "cpu"
[linux.gadget]
boot = { path = "/boot/firmware/config.txt", line = "dtoverlay=dwc2" }
[expect]
max_payload = 16384
BOARD

qemu-system-x86_64 -M q35 -cpu max -m 1500 -smp 2 -display none -serial file:console -snapshot \
  -kernel kernel -initrd initrd -append "root=/dev/vda rw console=ttyS0" -drive file=image,format=raw,if=virtio \
  -nic "user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:$port-:22" &
trap 'kill %1 2>/dev/null || true' EXIT
await() {
  for _ in $(seq 60); do
    timeout 10 ssh board "$1" 2>/dev/null && return
    sleep 3
  done
  fail "the board does not come to: $1"
}
flash() { "$kurtoscope" flash test-board --boards boards --to board "$@" 2>&1 | tee said; }
install_on_board() { flash --firmware "$device" "$@"; }
said() { grep -q "$1" said || fail "\"$1\" was not said"; }

step "the board starts"
await true
before=$(ssh board 'find /usr/local /etc/systemd /boot -type f -o -type l | sort | xargs sha256sum 2>/dev/null | sha256sum')

step "flashed without a USB port: a restart is asked for, every time"
install_on_board
said "restart the board once"
install_on_board
said "Already up to date"
said "restart the board once"

step "flashed with one: the service comes up"
ssh board 'modprobe dummy_hcd'
install_on_board
said "start kurtoscope-device.service now"
ssh board 'systemctl is-active kurtoscope-device' | grep -qx active || fail "the service does not run"

step "measured over usb:"
"$kurtoscope" demo --quiet --out demo >/dev/null
tar c -C demo model -C "$(dirname "$kurtoscope")" "$(basename "$kurtoscope")" | ssh board 'tar xm -C /root'
ssh board "/root/$(basename "$kurtoscope") compare /root/model --device usb: --tolerance 1e-10" | tail -n 2

step "another gadget has the port"
ssh board 'systemctl stop kurtoscope-device
  mkdir /sys/kernel/config/usb_gadget/other && cd /sys/kernel/config/usb_gadget/other
  echo 0x1d6b >idVendor; echo 0x104 >idProduct; mkdir -p configs/c.1 functions/acm.0
  ln -s functions/acm.0 configs/c.1; echo dummy_udc.0 >UDC'
! install_on_board || fail "that should be an error"
said "the service ends soon after it is started (the USB device controller dummy_udc.0 is taken"
ssh board 'echo >/sys/kernel/config/usb_gadget/other/UDC'
await 'systemctl is-active --quiet kurtoscope-device'
install_on_board

step "an engine that is not there"
! install_on_board --engine gpu=nothing-of-this-name || fail "that should be an error"
said "the service ends soon after it is started"
install_on_board

step "restarted: the service is there"
ssh board 'echo dummy_hcd >/etc/modules-load.d/port.conf; reboot' || true
sleep 5
await 'systemctl is-active --quiet kurtoscope-device'
ssh board 'rm /etc/modules-load.d/port.conf'

step "removed: every file as before"
flash --remove
said "Removed"
after=$(ssh board 'find /usr/local /etc/systemd /boot -type f -o -type l | sort | xargs sha256sum 2>/dev/null | sha256sum')
[ "$before" = "$after" ] || fail "something is left or changed"
ssh board 'test ! -e /usr/local/share/kurtoscope' || fail "a folder is left"
ssh board poweroff || true
step "all as it should be"
