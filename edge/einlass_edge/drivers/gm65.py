"""What a Raspberry Pi asks a GM65-family scanner beside what the core sends it. The line itself: einlass_core.gm65.

Frames that read a register are `7E 00 | 07 | 01 | address16 | count | crc16`. Registers, from public drivers of the
family (the manual of a model decides): 0x0000 bits 1-0 mode.
"""

from dataclasses import dataclass

from einlass_core.gm65 import crc16

MODE = 0x0000
MODE_MASK = 0x03
MODE_CONTINUOUS = 0x02
_READ = 7


@dataclass(frozen=True, slots=True)
class Answer:
    """The scanner's answer to one command."""

    ok: bool
    data: bytes


def read_register(address: int) -> bytes:
    """The frame that asks for one register."""
    body = bytes([_READ, 1]) + address.to_bytes(2, "big") + bytes([1])
    return b"\x7e\x00" + body + crc16(body).to_bytes(2, "big")


def answer_of(reply: bytes) -> Answer:
    """What Splitter found: status, then data."""
    return Answer(reply[0] == 0, reply[1:])
