"""What a firmware rarely asks of the ESP32's `machine`: loaded by machine.py when it does."""
# ruff: noqa: D102 - the methods are MicroPython's, whose documentation says what they do.

import os
import time
from machine import Pin

import board_link
import host_store

# The built-in module of this port: the `u` in front asks for it, whatever stands in for it.
import umachine

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5

Signal = umachine.Signal
idle = umachine.idle
time_pulse_us = umachine.time_pulse_us

_frequency_hz = 160_000_000


def unique_id():
    """The MAC address in BOARD_MAC (12 hex digits)."""
    return bytes.fromhex(os.getenv("BOARD_MAC") or "240ac4000001")


def freq(hz=None):
    """Get or set the processor's clock, in Hz; sets nothing but what it answers."""
    global _frequency_hz
    if hz is None:
        return _frequency_hz
    if hz not in (20_000_000, 40_000_000, 80_000_000, 160_000_000, 240_000_000):
        raise ValueError("frequency must be 20MHz, 40MHz, 80Mhz, 160MHz or 240MHz")
    _frequency_hz = hz


def soft_reset():
    """Never returns; whoever runs the board starts it again with SOFT_RESET."""
    board_link.die("USR2")


def disable_irq():
    """Callbacks run between byte codes here, so there is nothing to hold off."""
    return 0


def enable_irq(state):
    """The counterpart of disable_irq."""


class PWM:
    """A pin's square wave: told to the plant as frequency (Hz) and duty (0 to 65535)."""

    def __init__(self, dest, freq=5000, duty_u16=0):
        self._pin = Pin(dest)
        self._freq = freq
        self._duty = duty_u16
        self._tell()

    def init(self, freq=None, duty_u16=None):
        self._freq = self._freq if freq is None else freq
        self._duty = self._duty if duty_u16 is None else duty_u16
        self._tell()

    def freq(self, hz=None):
        if hz is None:
            return self._freq
        self.init(freq=hz)

    def duty_u16(self, duty=None):
        if duty is None:
            return self._duty
        self.init(duty_u16=duty)

    def deinit(self):
        self._duty = 0
        self._tell()

    def _tell(self):
        board_link.send({"t": "pwm", "id": self._pin.id, "freq": self._freq, "duty": self._duty})


class RTC:
    """The clock (the host's, with an offset once it is set) and 2 KB that outlive a reset but no power cut."""

    MEMORY_BYTES_MAX = 2048
    _offset_s = 0

    def datetime(self, value=None):
        if value is None:
            at = time.gmtime(time.time() + RTC._offset_s)
            return (at[0], at[1], at[2], at[6], at[3], at[4], at[5], 0)
        at_s = time.mktime((value[0], value[1], value[2], value[4], value[5], value[6], 0, 0))
        RTC._offset_s = at_s - time.time()

    def init(self, value):
        self.datetime(value)

    def memory(self, data=None):
        path = os.getenv("BOARD_FLASH") + ".rtc"
        if data is None:
            return host_store.read(path) or b""
        if len(data) > RTC.MEMORY_BYTES_MAX:
            raise ValueError("buffer too long")
        host_store.replace(path, data)
