"""Stand-in for the ESP32's `machine`: pins, PWM and watchdog move a simulated plant, UARTs are ttys of the host.

It has what the firmware uses, with the real module's rules (which pins exist, which can drive, what a full line does).
The rest of the module is in machine_more.py and loaded when it is asked for: a real board's own modules cost it no
memory, so the stand-ins must cost little.
"""
# ruff: noqa: D102 - the methods are MicroPython's, whose documentation says what they do.

import io
import os
import select
import sys
import termios
from micropython import const

import board_link
import host_files

# The built-in module of this port: the `u` in front asks for it, whatever stands in for it.
import umachine

_ABSENT = const((24, 28, 29, 30, 31))
_INPUT_ONLY_FROM = const(34)
_LAST = const(39)
_VMIN = const(6)
_VTIME = const(5)
_STREAM_POLL = const(3)
_STREAM_GET_FILENO = const(10)


def __getattr__(name):
    import machine_more

    return getattr(machine_more, name)


def reset_cause():
    """Why the board started, from BOARD_RESET_CAUSE."""
    return int(os.getenv("BOARD_RESET_CAUSE") or 1)


def reset():
    """Never returns; whoever runs the board starts it again with HARD_RESET."""
    board_link.send({"t": "reset"})
    board_link.die("USR1")


class Pin(umachine.PinBase):
    """One object a pin number. An input has the plant's level, or its pull's until the plant says something."""

    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_DOWN = 1
    PULL_UP = 2
    IRQ_RISING = 1
    IRQ_FALLING = 2

    # Until the pin is told otherwise.
    _mode = None
    _pull = None
    _output = 0
    _handler = None
    _trigger = 0

    _pins = {}
    _levels = {}  # as driven by the plant

    def __new__(cls, id, *arguments, **options):
        if isinstance(id, Pin):
            return id
        if not isinstance(id, int) or not 0 <= id <= _LAST or id in _ABSENT:
            raise ValueError("invalid pin")
        pin = cls._pins.get(id)
        if pin is None:
            pin = super().__new__(cls)
            pin.id = id
            cls._pins[id] = pin
        return pin

    def __init__(self, id, mode=-1, pull=-1, value=None, **drive):
        if mode != -1 or pull != -1 or value is not None:
            self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, value=None, **drive):
        if mode in (Pin.OUT, Pin.OPEN_DRAIN) and self.id >= _INPUT_ONLY_FROM:
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

    def irq(self, handler=None, trigger=IRQ_FALLING | IRQ_RISING, **options):
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


class WDT:
    """The watchdog: it lives with the plant, which resets the board when no feed came in time. It cannot be stopped."""

    def __init__(self, id=0, timeout=5000):
        if timeout <= 0:
            raise ValueError("WDT timeout too short")
        board_link.send({"t": "wdt", "timeout_ms": timeout})

    def feed(self):
        board_link.send({"t": "feed"})


class UART(io.IOBase):
    """A serial line: the tty in BOARD_UART<id>, 8N1. Nobody at the other end is silence, as on the wire.

    `read` and its like never wait for more than there is (`timeout=0`, the only one that is allowed).
    """

    def __init__(self, id, baudrate=115200, bits=8, parity=None, stop=1, **options):
        path = os.getenv("BOARD_UART%d" % id)
        if not path:
            raise ValueError("UART%d is not connected: name its tty in BOARD_UART%d" % (id, id))
        self._file = host_files.open_host(path, "r+b")
        self._gone = False
        self._line = select.poll()
        self._line.register(self._file, select.POLLIN | select.POLLOUT)
        self.init(baudrate, bits, parity, stop, **options)

    def init(self, baudrate=115200, bits=8, parity=None, stop=1, timeout=0, **options):
        if (bits, parity, stop) != (8, None, 1) or timeout:
            raise ValueError("this UART stands in for 8N1 with timeout=0 only")
        descriptor = self._file.fileno()
        termios.setraw(descriptor)
        attributes = termios.tcgetattr(descriptor)
        # So that a read gives what is there: this port cannot make a file non-blocking.
        attributes[6][_VMIN] = 0
        attributes[6][_VTIME] = 0
        speed = getattr(termios, "B%d" % baudrate, None)
        if speed is not None:
            attributes[4] = attributes[5] = speed
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)

    def deinit(self):
        self._file.close()

    def any(self):
        return 1 if self._may(select.POLLIN) else 0

    def read(self, count=-1):
        return self._now(self._file.read, 256 if count < 0 else count) or None

    def readinto(self, buffer, count=-1):
        return self._now(self._file.readinto, buffer if count < 0 else memoryview(buffer)[:count]) or None

    def readline(self):
        return self._now(self._file.readline) or None

    def write(self, data):
        # A line that nobody reads loses what is sent on it; it does not hold the sender up.
        if self._may(select.POLLOUT):
            return self._now(self._file.write, data) or 0
        return len(data)

    def ioctl(self, request, argument):
        if request == _STREAM_GET_FILENO:
            # A tty whose other end is gone is ready for ever; asked this way, it never is.
            return -1 if self._gone else self._file.fileno()
        if request == _STREAM_POLL:
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
            self._gone = self._may(select.POLLHUP | select.POLLERR)
        return result

    def _may(self, flags):
        if self._gone:
            return False
        for _, ready in self._line.ipoll(0):
            if ready & flags:
                return True
        return False
