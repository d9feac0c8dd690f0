# All scenarios that this guest was started for, one after the other: `scenario=NAME` on the kernel's command line. The
# test on the other side of the disk reads what they leave in /out.
. /bin/lib.sh
for word in $(cat /proc/cmdline); do
  case $word in
    scenario=*) . "/bin/${word#scenario=}.sh" ;;
  esac
done
dmesg >/out/dmesg
step "done"
