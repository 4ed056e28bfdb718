"""The line of a GM65-family scanner, as the host sees it: codes and answers on one stream. Bytes in, facts out; no I/O.

Host frames `7E 00 | type | count | address16 | data | crc16`, type 07 read, 08 write; answers
`02 00 | status | count | data | crc16`; CRC-16/XMODEM over type..data and status..data. Registers, from public drivers
of the family (the manual of a model decides): 0x0000 bits 1-0 mode; 0x0003 bit 1 closes setting codes, with which a
visitor could reconfigure the scanner.
"""

from dataclasses import dataclass

from einlass_core.codes import CODE_LENGTH_MAX
from einlass_core.gm65 import crc16

MODE = 0x0000
MODE_MASK = 0x03
MODE_CONTINUOUS = 0x02
ANSWER_DATA_MAX = 16

_READ = 7
_HEAD = b"\x02\x00"
_OVERHEAD = 6
_ENDINGS = (b"\r", b"\n")


def read_register(address: int) -> bytes:
    """The frame that asks for one register."""
    body = bytes([_READ, 1]) + address.to_bytes(2, "big") + bytes([1])
    return b"\x7e\x00" + body + _crc(body)


@dataclass(frozen=True, slots=True)
class Code:
    """What the scanner read, without its ending; longer than CODE_LENGTH_MAX by one byte when it was cut."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """The scanner's answer to one command."""

    ok: bool
    data: bytes


class Line:
    """Takes the stream apart. A code ends with CR, LF or a pause; an answer is only looked for while one is awaited.

    A visitor's code can hold any bytes, also those of an answer: outside of a command they are just a strange code.
    """

    def __init__(self) -> None:
        self.answers_awaited = 0
        self._input = bytearray()
        self._skipping = False

    @property
    def waiting(self) -> bool:
        """Whether something unfinished is held back; call paused() when no byte has followed for a while."""
        return bool(self._input) or self._skipping

    def feed(self, data: bytes) -> list[Code | Answer]:
        """Whatever is complete now."""
        found: list[Code | Answer] = []
        self._input += data
        while self._input and self._take(found):
            pass
        return found

    def paused(self) -> list[Code | Answer]:
        """The line has been silent: what came without an ending is a code, too."""
        raw, skipping = bytes(self._input), self._skipping
        self._input.clear()
        self._skipping = False
        return [] if skipping or not raw else [Code(raw[: CODE_LENGTH_MAX + 1])]

    def _take(self, found: list[Code | Answer]) -> bool:
        if self.answers_awaited and not self._skipping:
            start = self._input.find(_HEAD)
            if start < 0 and self._input.endswith(_HEAD[:1]):
                return self._take_code(found, len(self._input) - 1)
            if start == 0:
                taken = self._take_answer(found)
                if taken is not None:
                    return taken
            elif start > 0:
                return self._take_code(found, start)
        return self._take_code(found, len(self._input))

    def _take_answer(self, found: list[Code | Answer]) -> bool | None:
        """True: taken; False: more bytes are needed; None: it is no answer."""
        if len(self._input) < 4:
            return False
        count = self._input[3]
        if count > ANSWER_DATA_MAX:
            return None
        if len(self._input) < _OVERHEAD + count:
            return False
        body = bytes(self._input[2 : 4 + count])
        if bytes(self._input[4 + count : _OVERHEAD + count]) != _crc(body):
            return None
        del self._input[: _OVERHEAD + count]
        self.answers_awaited -= 1
        found.append(Answer(body[0] == 0, body[2:]))
        return True

    def _take_code(self, found: list[Code | Answer], end: int) -> bool:
        """One code that ends before `end`; what stands there without an ending stays."""
        ends = [at for at in (self._input.find(mark, 0, end) for mark in _ENDINGS) if at >= 0]
        if ends:
            at = min(ends)
            raw, skipping = bytes(self._input[:at]), self._skipping
            del self._input[: at + 1]
            self._skipping = False
            if raw and not skipping:
                found.append(Code(raw[: CODE_LENGTH_MAX + 1]))
            return True
        if self._skipping:
            self._input.clear()
        elif end > CODE_LENGTH_MAX:
            # Said at once, or a scanner stuck in the middle of a text would never be heard of.
            found.append(Code(bytes(self._input[: CODE_LENGTH_MAX + 1])))
            self._skipping = True
            self._input.clear()
        return False


def _crc(body: bytes) -> bytes:
    return crc16(body).to_bytes(2, "big")
