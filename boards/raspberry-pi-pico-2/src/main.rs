//! Kurtoscope's firmware for the Raspberry Pi Pico 2: a serial port over USB, and the light on pin 25.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use kurtoscope_cortex_m::{heap::Heap, usb_serial::Port};
use kurtoscope_firmware::{
    Board, Framing, Session,
    engine::CpuEngine,
    serve,
    status_led::{NoPin, StatusLed},
};
use rp235x_hal::{
    self as hal, Sio, Watchdog,
    block::ImageDef,
    clocks::init_clocks_and_plls,
    gpio::Pins,
    pac,
    reboot::{RebootArch, RebootKind, reboot},
    usb::UsbBus,
};
use usb_device::bus::UsbBusAllocator;

extern crate alloc;

/// The largest payload of one chunk, bytes.
const MAX_PAYLOAD: u32 = 64 << 10;
/// The crystal on the board, hertz.
const CRYSTAL: u32 = 12_000_000;

/// Memory for the chunk, for the answer to it, and for what burn and the session keep.
#[global_allocator]
static HEAP: Heap<{ MAX_PAYLOAD as usize + (8 << 10) }> = Heap::new();

/// Marks this as a program for the Arm cores, which the boot ROM checks.
#[unsafe(link_section = ".start_block")]
#[used]
static IMAGE: ImageDef = ImageDef::secure_exe();

#[hal::entry]
fn main() -> ! {
    HEAP.start();
    let Some(mut chip) = pac::Peripherals::take() else { restart() };
    let mut watchdog = Watchdog::new(chip.WATCHDOG);
    let clocks = init_clocks_and_plls(
        CRYSTAL,
        chip.XOSC,
        chip.CLOCKS,
        chip.PLL_SYS,
        chip.PLL_USB,
        &mut chip.RESETS,
        &mut watchdog,
    );
    let Ok(clocks) = clocks else { restart() };
    let sio = Sio::new(chip.SIO);
    let pins = Pins::new(chip.IO_BANK0, chip.PADS_BANK0, sio.gpio_bank0, &mut chip.RESETS);
    let light = pins.gpio25.into_push_pull_output();

    let identity = identity();
    let board = Board { name: "raspberry-pi-pico-2".into(), identity: identity.as_str().into() };
    // The self-test runs before the board shows up on USB, where it then answers at once.
    let mut session =
        Session::with_status_led(CpuEngine::single_precision(MAX_PAYLOAD), board, StatusLed::new(light, NoPin))
            .plain_only();

    let bus = UsbBus::new(chip.USB, chip.USB_DPRAM, clocks.usb_clock, true, &mut chip.RESETS);
    let bus = UsbBusAllocator::new(bus);
    let Some(port) = Port::new(&bus, &identity, start_boot_loader) else { restart() };
    loop {
        // The port neither ends nor fails; if it did, starting over is all there is.
        let _ = serve(&mut session, Framing::Cobs, port.reader(), port.writer());
    }
}

/// The chip's own number, from its one-time programmable memory.
fn identity() -> alloc::string::String {
    match hal::rom_data::sys_info_api::chip_info() {
        Ok(Some(chip)) => alloc::format!("{:08x}{:08x}", chip.wafer_id, chip.device_id),
        _ => Default::default(),
    }
}

/// Starts the boot loader, with both of its USB interfaces.
fn start_boot_loader() {
    reboot(RebootKind::BootSel { picoboot_disabled: false, msd_disabled: false }, RebootArch::Normal)
}

/// Starts over. The host repeats the handshake and sends again what was not answered.
fn restart() -> ! {
    reboot(RebootKind::Normal, RebootArch::Normal)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    restart()
}
