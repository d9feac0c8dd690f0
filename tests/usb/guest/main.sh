# All scenarios, one after the other. The test on the other side of the disk reads what they leave in /out.
. /bin/lib.sh
model=/test/model.safetensors

step() { echo "GUEST $(cut -d' ' -f1 /proc/uptime) s: $*"; }

for at in high super; do
  step "bulk at $at speed"
  identity "bulk-$at"
  connect $at
  board bulk-$at --usb-gadget
  await "usb:1209:0001:bulk-$at"
  run bulk-$at $model --device usb: --chunk-bytes 4096
  if [ $at = high ]; then
    run bulk-large $model --device usb:1209:0001 --chunk-bytes 65536
    run bulk-packed $model --device usb:1209:0001:bulk-high --chunk-bytes 4096 --packing always
  fi
  kill $board
  ended $board
  ls /sys/kernel/config/usb_gadget >/out/bulk-$at.left
  disconnect
done

for at in full high; do
  step "serial port at $at speed"
  identity serial-$at
  connect $at
  board serial-$at --acm
  await serial:/dev/ttyACM0
  kurtoscope-under-test devices >/out/serial.devices
  run serial-$at $model --device serial:/dev/ttyACM0 --chunk-bytes 4096
  if [ $at = high ]; then
    run serial-again $model --device serial:/dev/ttyACM0 --chunk-bytes 4096
    run serial-as-bulk $model --device usb:1209:0002
  fi
  kill $board
  ended $board
  ls /sys/kernel/config/usb_gadget >/out/serial-$at.left
  disconnect
done

for at in high super; do
  step "plain copies over bulk endpoints at $at speed"
  connect $at
  usb-copy bulk 2>/out/copy-bulk-$at.board &
  board=$!
  await usb:1209:0001:copy
  usb-copy lengths usb: 1000000 >/out/lengths-bulk-$at 2>&1
  for round in 1 2 3; do usb-copy to usb: 33554432; done >/out/copy-bulk-$at 2>&1
  kill $board
  ended $board
  board bulk --usb-gadget
  await usb:1209:0001
  for round in 1 2 3; do run rate-bulk-$at-$round /test/large.safetensors --device usb: --packing never; done
  kill $board
  ended $board
  disconnect
done
step "done"
