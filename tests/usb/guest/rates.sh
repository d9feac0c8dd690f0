# How much of a link is payload: a plain copy and runs over the same endpoints. This guest's clock counts instructions, so
# one round says it all; the second copy shows that it does.
model=/test/large.safetensors

# measure NAME URL COPIER OPTION [PLUG]: copies of as many bytes as the model has, then runs that measure little and much.
measure() {
  usb-copy "$3" 2>"/out/$1-copy.board" &
  board=$!
  ${5:-:} 0
  await "$2"
  for round in 1 2; do usb-copy to "$2" 8388608; done >"/out/$1.copy" 2>&1
  kill $board
  ended $board
  board "$1" "$4"
  ${5:-:} 1
  await "$2"
  for what in moments tails all; do
    run "$1-$what" $model --device "$2" --packing never --chunk-bytes 1048576 --statistics $what
  done
  kill $board
  ended $board
}

step "bulk"
identity rates
connect high
measure rate-bulk usb:1209:0001 bulk --usb-gadget
step "serial port"
measure rate-serial serial:/dev/ttyACM0 acm --acm
disconnect
step "bulk on a bus that takes its time"
connect_bus
measure rate-bus-bulk usb:1209:0001 bulk --usb-gadget plug
disconnect_bus
step "serial port on that bus"
connect_bus
measure rate-bus-serial serial:/dev/ttyACM0 acm --acm plug
disconnect_bus
