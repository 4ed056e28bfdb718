"""What every node decides, on MicroPython and CPython alike: no I/O, no clock, no randomness."""

VERSION = "0.1.0"
