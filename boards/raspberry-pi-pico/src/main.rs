//! Kurtoscope's firmware for the Raspberry Pi Pico: a serial port over USB, and the light on pin 25.
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
use rp2040_hal::{
    self as hal, Sio, Watchdog, clocks::init_clocks_and_plls, gpio::Pins, pac, rom_data::reset_to_usb_boot, usb::UsbBus,
};
use usb_device::bus::UsbBusAllocator;

/// The largest payload of one chunk, bytes: without a floating-point unit, tens of milliseconds of work, in which USB rests.
const MAX_PAYLOAD: u32 = 16 << 10;
/// The crystal on the board, hertz.
const CRYSTAL: u32 = 12_000_000;

/// Room for the chunk, for the answer to it, and for what the session keeps.
#[global_allocator]
static HEAP: Heap<{ MAX_PAYLOAD as usize + (8 << 10) }> = Heap::new();

/// Loaded and run by the boot ROM: makes the flash memory readable, and starts what follows.
#[unsafe(link_section = ".boot2")]
#[used]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

#[hal::entry]
fn main() -> ! {
    HEAP.start();
    let Some(mut chip) = pac::Peripherals::take() else { hal::reset() };
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
    let Ok(clocks) = clocks else { hal::reset() };
    let sio = Sio::new(chip.SIO);
    let pins = Pins::new(chip.IO_BANK0, chip.PADS_BANK0, sio.gpio_bank0, &mut chip.RESETS);
    let light = pins.gpio25.into_push_pull_output();

    // The chip has no number of its own.
    let board = Board { name: "raspberry-pi-pico".into(), identity: Default::default() };
    // The self-test runs before the board shows up on USB, where it then answers at once.
    let mut session =
        Session::with_status_led(CpuEngine::single_precision(MAX_PAYLOAD), board, StatusLed::new(light, NoPin))
            .plain_only();

    let bus = UsbBus::new(chip.USBCTRL_REGS, chip.USBCTRL_DPRAM, clocks.usb_clock, true, &mut chip.RESETS);
    let bus = UsbBusAllocator::new(bus);
    let Some(port) = Port::new(&bus, "", start_boot_loader) else { hal::reset() };
    loop {
        // The port neither ends nor fails; if it did, starting over is all there is.
        let _ = serve(&mut session, Framing::Cobs, port.reader(), port.writer());
    }
}

/// Starts the boot loader, with both of its USB interfaces and no light.
fn start_boot_loader() {
    reset_to_usb_boot(0, 0);
}

/// Starts over. The host repeats the handshake and sends again what was not answered.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    hal::reset()
}
