# One host, one board: every speed, both kinds of link, and gadgets that go away with their programs.
model=/test/model.safetensors

for at in high super; do
  step "bulk at $at speed"
  identity "bulk-$at"
  connect $at
  board bulk-$at --usb-gadget
  await "usb:1209:0001:bulk-$at"
  kurtoscope-under-test devices >/out/bulk-$at.devices
  run bulk-$at $model --device usb: --chunk-bytes 4096
  if [ $at = high ]; then
    run bulk-large $model --device usb:1209:0001 --chunk-bytes 65536
    run bulk-compressed $model --device usb:1209:0001:bulk-high --chunk-bytes 4096 --packing always
  fi
  kill $board
  ended $board
  ls /sys/kernel/config/usb_gadget >/out/bulk-$at.left
  usb-copy bulk 2>/out/lengths-bulk-$at.board &
  board=$!
  await usb:1209:0001:copy
  usb-copy lengths usb: 1000000 >/out/lengths-bulk-$at 2>&1
  kill $board
  ended $board
  disconnect
done

for at in full high; do
  step "serial port at $at speed"
  identity serial-$at
  connect $at
  board serial-$at --acm
  await serial:/dev/ttyACM0
  kurtoscope-under-test devices >/out/serial-$at.devices
  run serial-$at $model --device serial:/dev/ttyACM0 --chunk-bytes 4096
  if [ $at = high ]; then
    run serial-again $model --device serial:/dev/ttyACM0 --chunk-bytes 4096
    run serial-as-bulk $model --device usb:1209:0002
  fi
  kill $board
  ended $board
  ls /sys/kernel/config/usb_gadget >/out/serial-$at.left
  usb-copy acm 2>/out/lengths-serial-$at.board &
  board=$!
  await serial:/dev/ttyACM0
  usb-copy lengths serial:/dev/ttyACM0 5000 >/out/lengths-serial-$at 2>&1
  kill $board
  ended $board
  disconnect
done
