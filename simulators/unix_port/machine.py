"""Stand-in for the ESP32's `machine`: pins, PWM and watchdog move a simulated plant, UARTs are ttys of the host.

It has what the firmware uses, with the real module's rules (which pins exist, which can drive, what a full line does).
"""
# ruff: noqa: D102 - the methods are MicroPython's, whose documentation says what they do.

import io
import os
import select
import sys
import termios
import time

import board_link
import host_files

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


def reset_cause():
    """Why the board started, from BOARD_RESET_CAUSE."""
    return int(os.getenv("BOARD_RESET_CAUSE") or PWRON_RESET)


def reset():
    """Never returns; whoever runs the board starts it again with HARD_RESET."""
    board_link.send({"t": "reset"})
    board_link.die("USR1")


def soft_reset():
    """Never returns; whoever runs the board starts it again with SOFT_RESET."""
    board_link.die("USR2")


def disable_irq():
    """Callbacks run between byte codes here, so there is nothing to hold off."""
    return 0


def enable_irq(state):
    """The counterpart of disable_irq."""


class Pin(umachine.PinBase):
    """One object a pin number. An input has the plant's level, or its pull's until the plant says something."""

    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_DOWN = 1
    PULL_UP = 2
    IRQ_RISING = 1
    IRQ_FALLING = 2

    _pins = {}
    _levels = {}  # as driven by the plant
    _ABSENT = (24, 28, 29, 30, 31)
    _INPUT_ONLY_FROM = 34
    _LAST = 39

    def __new__(cls, id, *arguments, **options):
        if isinstance(id, Pin):
            return id
        if not isinstance(id, int) or not 0 <= id <= cls._LAST or id in cls._ABSENT:
            raise ValueError("invalid pin")
        pin = cls._pins.get(id)
        if pin is None:
            pin = super().__new__(cls)
            pin.id = id
            pin._mode = None
            pin._pull = None
            pin._output = 0
            pin._handler = None
            pin._trigger = 0
            cls._pins[id] = pin
        return pin

    def __init__(self, id, mode=-1, pull=-1, value=None, drive=None, hold=None):
        if mode != -1 or pull != -1 or value is not None:
            self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, value=None, drive=None, hold=None):
        if mode in (Pin.OUT, Pin.OPEN_DRAIN) and self.id >= Pin._INPUT_ONLY_FROM:
            raise ValueError("pin can only be input")
        if mode != -1:
            self._mode = mode
        if pull != -1:
            self._pull = pull
        if value is not None:
            self._output = 1 if value else 0
        message = {"t": "pinmode", "id": self.id, "mode": self._mode, "pull": self._pull, "v": self.value()}
        board_link.send(message)
        if self._drives():
            self._tell()

    def value(self, value=None):
        if value is None:
            if self._drives():
                return self._output
            board_link.poll()
            return Pin._levels.get(self.id, 1 if self._pull == Pin.PULL_UP else 0)
        value = 1 if value else 0
        changed = value != self._output
        self._output = value
        if changed and self._drives():
            self._tell()

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def toggle(self):
        self.value(not self._output)

    def irq(self, handler=None, trigger=IRQ_FALLING | IRQ_RISING, wake=None, hard=False):
        self._handler = handler
        self._trigger = trigger

    def __repr__(self):
        return "Pin(%d)" % self.id

    def _drives(self):
        return self._mode in (Pin.OUT, Pin.OPEN_DRAIN)

    def _tell(self):
        board_link.send({"t": "pin", "id": self.id, "v": self._output})

    @staticmethod
    def _from_plant(message):
        id = message["id"]
        level = 1 if message["v"] else 0
        pin = Pin._pins.get(id)
        before = Pin._levels.get(id, 1 if pin and pin._pull == Pin.PULL_UP else 0)
        Pin._levels[id] = level
        if pin and pin._handler and level != before and pin._trigger & (1 if level else 2) and not pin._drives():
            try:
                # At once, so that it sees the level of its own edge, as it would on a chip that is in time.
                pin._handler(pin)
            except Exception as error:
                sys.print_exception(error)


board_link.on("pin", Pin._from_plant)


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


class WDT:
    """The watchdog: it lives with the plant, which resets the board when no feed came in time. It cannot be stopped."""

    def __init__(self, id=0, timeout=5000):
        if timeout <= 0:
            raise ValueError("WDT timeout too short")
        board_link.send({"t": "wdt", "timeout_ms": timeout})

    def feed(self):
        board_link.send({"t": "feed"})


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
            return host_files.read(path) or b""
        if len(data) > RTC.MEMORY_BYTES_MAX:
            raise ValueError("buffer too long")
        host_files.replace(path, data)


class UART(io.IOBase):
    """A serial line: the tty in BOARD_UART<id>, 8N1. Nobody at the other end is silence, as on the wire.

    `read` and its like never wait for more than there is (`timeout=0`, the only one that is allowed).
    """

    INV_TX = 1
    INV_RX = 2
    _VMIN = 6
    _VTIME = 5
    _STREAM_POLL = 3
    _STREAM_GET_FILENO = 10

    def __init__(self, id, baudrate=115200, bits=8, parity=None, stop=1, **options):
        path = os.getenv("BOARD_UART%d" % id)
        if not path:
            raise ValueError("UART%d is not connected: name its tty in BOARD_UART%d" % (id, id))
        self._file = host_files.open_host(path, "r+b")
        self._gone = False
        self._ready = select.poll()
        self._ready.register(self._file, select.POLLIN)
        self._writable = select.poll()
        self._writable.register(self._file, select.POLLOUT)
        self.init(baudrate, bits, parity, stop, **options)

    def init(self, baudrate=115200, bits=8, parity=None, stop=1, timeout=0, **options):
        if (bits, parity, stop) != (8, None, 1) or timeout:
            raise ValueError("this UART stands in for 8N1 with timeout=0 only")
        descriptor = self._file.fileno()
        termios.setraw(descriptor)
        attributes = termios.tcgetattr(descriptor)
        # So that a read gives what is there: this port cannot make a file non-blocking.
        attributes[6][UART._VMIN] = 0
        attributes[6][UART._VTIME] = 0
        speed = getattr(termios, "B%d" % baudrate, None)
        if speed is not None:
            attributes[4] = attributes[5] = speed
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)

    def deinit(self):
        self._file.close()

    def any(self):
        return 1 if not self._gone and self._ready.poll(0) else 0

    def read(self, count=-1):
        return self._now(self._file.read, 256 if count < 0 else count) or None

    def readinto(self, buffer, count=-1):
        return self._now(self._file.readinto, buffer if count < 0 else memoryview(buffer)[:count]) or None

    def readline(self):
        return self._now(self._file.readline) or None

    def write(self, data):
        # A line that nobody reads loses what is sent on it; it does not hold the sender up.
        if not self._gone and self._writable.poll(0):
            return self._now(self._file.write, data) or 0
        return len(data)

    def flush(self):
        pass

    def ioctl(self, request, argument):
        if request == UART._STREAM_GET_FILENO:
            # A tty whose other end is gone is ready for ever; asked this way, it never is.
            return -1 if self._gone else self._file.fileno()
        if request == UART._STREAM_POLL:
            return 0 if self._gone else (argument & 4) | (self.any() and argument & 1)
        return -1

    def _now(self, operation, *arguments):
        if self._gone:
            return None
        try:
            result = operation(*arguments)
        except OSError:
            result = None
        if not result:
            self._gone = any(flags & (select.POLLHUP | select.POLLERR) for _, flags in self._ready.poll(0))
        return result
