# What the guest's scenarios share. Every run leaves NAME.json (its run), NAME.err and NAME.code in /out.

step() { echo "GUEST $(cut -d' ' -f1 /proc/uptime) s: $*"; }

# connect SPEED [NUMBER]: USB controllers joined back to back, at full, high or super speed.
connect() {
  case $1 in
    full) insmod /modules/dummy_hcd.ko is_high_speed=0 num="${2:-1}" ;;
    high) insmod /modules/dummy_hcd.ko num="${2:-1}" ;;
    super) insmod /modules/dummy_hcd.ko is_super_speed=1 num="${2:-1}" ;;
  esac
}

disconnect() { rmmod dummy_hcd; }

# connect_bus, disconnect_bus: virtual controllers that move as much as a bus does in its time, and then wait.
connect_bus() { insmod /modules/vhci-hcd.ko && insmod /modules/usbip-vudc.ko; }
disconnect_bus() { rmmod usbip_vudc && rmmod vhci_hcd; }

# plug PORT: plugs the board into that port of theirs, once it is there.
plug() {
  for turn in $(seq 100); do
    usb-copy join "$1" 2>/tmp/join && return 0
    sleep 0.1
  done
  echo "GUEST no board to plug in: $(cat /tmp/join)"
  return 1
}

# identity TEXT: what the next board is known by.
identity() { echo "$1" >/etc/machine-id; }

# board NAME ARGUMENTS: starts a board; $board is its process.
board() {
  name=$1
  shift
  kurtoscope-under-test device --board test "$@" 2>"/out/$name.board" &
  board=$!
}

# await PATTERN: waits until `devices` lists it.
await() {
  for turn in $(seq 100); do
    kurtoscope-under-test devices 2>/dev/null | grep -q "$1" && return 0
    sleep 0.1
  done
  echo "GUEST no device $1 in time"
  return 1
}

# ended PROCESS: waits for an end that must come, and passes its code on.
ended() {
  for turn in $(seq 100); do
    kill -0 "$1" 2>/dev/null || break
    sleep 0.1
  done
  kill -9 "$1" 2>/dev/null && echo "GUEST process $1 did not end"
  wait "$1" 2>/dev/null
}

# run NAME ARGUMENTS: one run of the host, to its end.
run() {
  name=$1
  shift
  timeout 120 kurtoscope-under-test analyze "$@" --give-up 20 --quiet --format json >"/out/$name.json" 2>"/out/$name.err"
  echo $? >"/out/$name.code"
}
