# Boards that vanish and come back, two boards, and everything that a user can get wrong.
model=/test/large.safetensors
one=usb:1209:0001:one

# midway NAME DEVICE: starts a run and comes back once it has measured something; $host is its process.
midway() {
  kurtoscope-under-test analyze $model --device "$2" --chunk-bytes 65536 --packing never --timeout 2 --give-up 20 --quiet \
    --out "/tmp/$1" --format json >"/out/$1.json" 2>"/out/$1.err" &
  host=$!
  for turn in $(seq 300); do
    [ "$(stat -c %s "/tmp/$1/run.journal" 2>/dev/null || echo 0)" -gt 3000 ] && return
    sleep 0.1
  done
  echo "GUEST $1 measures nothing"
}

# finish NAME: waits for the end of that run.
finish() {
  wait $host
  echo $? >"/out/$1.code"
}

connect high 2
step "a port must be named where there are two, and has one user"
identity one
timeout 20 kurtoscope-under-test device --usb-gadget 2>/out/no-port.board
run absent $model --device usb:
board one --usb-gadget --udc dummy_udc.0
await $one
timeout 20 kurtoscope-under-test device --usb-gadget --udc dummy_udc.0 2>/out/taken.board
timeout 20 kurtoscope-under-test device --usb-gadget --udc musb 2>/out/unknown.board
usb-copy notified /tmp/notify >/out/led.notified &
NOTIFY_SOCKET=/tmp/notify timeout 10 kurtoscope-under-test device --usb-gadget --udc dummy_udc.1 --led none 2>/out/led.board

step "a board without permission, and one in use"
echo "nobody:x:65534:65534::/:/bin/sh" >/etc/passwd
su -s /bin/sh nobody -c "kurtoscope-under-test analyze $model --device usb: --quiet" >/out/denied.json 2>/out/denied.err
echo $? >/out/denied.code
midway killed $one
run busy $model --device $one

step "a board that is killed and started again"
kill -9 $board
wait $board 2>/dev/null
board one-again --usb-gadget --udc dummy_udc.0
finish killed

step "a cable that is pulled and plugged in again"
midway unplugged $one
echo >/sys/kernel/config/usb_gadget/kurtoscope-dummy_udc.0/UDC
sleep 1
echo dummy_udc.0 >/sys/kernel/config/usb_gadget/kurtoscope-dummy_udc.0/UDC
finish unplugged

step "a host that is killed, and the next one"
midway orphaned $one
kill -9 $host
finish orphaned
run next $model --device $one --chunk-bytes 65536

step "two boards"
identity two
board two --usb-gadget --udc dummy_udc.1
await usb:1209:0001:two
run ambiguous $model --device usb:
run second $model --device usb:1209:0001:two --chunk-bytes 65536
run both $model --device $one --device usb:1209:0001:two --chunk-bytes 65536
killall kurtoscope-under-test
wait

step "a serial port whose board is killed and started again"
identity three
board three --acm --udc dummy_udc.0
await serial:/dev/ttyACM0
midway serial-killed serial:/dev/ttyACM0
kill -9 $board
wait $board 2>/dev/null
board three-again --acm --udc dummy_udc.0
finish serial-killed
kill $board
ended $board
ls /sys/kernel/config/usb_gadget >/out/faults.left
