"""The inside of a GM65-family barcode module: registers, command frames, what it reads. Bytes in, bytes out; no I/O.

    module = Gm65()
    answer = module.received(0, frame)      # what it puts on the line for what the host sent
    typed = module.looks_at(0, b"E1:...")   # what it puts on the line for a code held before it

Frames (from public drivers of the family): host `7E 00 | type | count | address16 | data | crc16`, type 07 read,
08 write, 09 save; CRC-16/XMODEM over type..data, or AB CD for "not checked". Module `02 00 | status | count | data |
crc16`, CRC over status..data. Registers that several public drivers agree on:

    0x0000  bits 1-0: mode (0 manual, 1 by command, 2 continuous)      0x00D9  0x50 or 0x55: factory settings
    0x0002  bit 0: read now (mode by command)                          0x00E1, 0x00E2  versions
    0x0003  bit 1: setting codes CLOSED; bit 0: also type them out.  So 0x00 leaves them open and 0x02 closes them
    0x0006  how long one reading by command lasts, 0.1 s               0x0013  bit 7: do not repeat the same code
    0x0060  bits 6-5: ending (0 CR, 1 CRLF, 2 tab, 3 none)                     for bits 6-0 times 0.1 s

The texts of real setting codes are the maker's; `_SET_CODE_OFF`, `_SET_CODE_ON` and `_SET_<register>_<value>` (hex)
stand for all of them here.
"""

import binascii
import re

FRAME_HEAD = b"\x7e\x00"
REPLY_HEAD = b"\x02\x00"
READ, WRITE, SAVE = 7, 8, 9
CRC_NOT_CHECKED = b"\xab\xcd"
STATUS_OK = 0

MODE = 0x0000
TRIGGER = 0x0002
SETTING_CODES = 0x0003
READING_TIME = 0x0006
SAME_CODE = 0x0013
ENDING = 0x0060
RESET = 0x00D9
HARDWARE_VERSION = 0x00E1
SOFTWARE_VERSION = 0x00E2

MODE_MASK, MODE_MANUAL, MODE_COMMAND, MODE_CONTINUOUS = 0x03, 0, 1, 2
SETTING_CODES_CLOSED = 0x02
SETTING_CODES_TYPED = 0x01
RESET_VALUES = (0x50, 0x55)
REGISTERS = 0x0100
UNIT_MS = 100

FACTORY = {
    MODE: 0xD6,
    SETTING_CODES: 0x00,
    READING_TIME: 50,
    SAME_CODE: 0x8A,
    HARDWARE_VERSION: 100,
    SOFTWARE_VERSION: 65,
}
READ_ONLY = (HARDWARE_VERSION, SOFTWARE_VERSION)
ENDINGS = (b"\r", b"\r\n", b"\t", b"")

FRAME_DATA_MAX = 0x80
CODE_BYTES_MAX = 4096

_SETTING = re.compile(rb"_SET_([0-9A-F]{4})_([0-9A-F]{2})")
_SETTING_WORDS = {b"_SET_CODE_OFF": (SETTING_CODES, SETTING_CODES_CLOSED), b"_SET_CODE_ON": (SETTING_CODES, 0)}


def crc16(data: bytes) -> bytes:
    """CRC-16/XMODEM as the two bytes on the line."""
    return binascii.crc_hqx(data, 0).to_bytes(2, "big")


def frame(kind: int, address: int, data: bytes, count: int | None = None) -> bytes:
    """A host's command frame with a true CRC; count is len(data) but for a save."""
    body = bytes([kind, len(data) if count is None else count]) + address.to_bytes(2, "big") + data
    return FRAME_HEAD + body + crc16(body)


class Gm65:
    """One module. Time (now_ms) only matters for repeats of a code and for the length of a reading by command."""

    def __init__(self) -> None:
        self.saved = self._factory()
        self.registers = bytearray(self.saved)
        self.frames_refused = 0
        self._input = bytearray()
        self._last: tuple[bytes, int] | None = None
        self._reading_until_ms: int | None = None

    def power_cycle(self) -> None:
        """What was not saved to flash is forgotten."""
        self.registers = bytearray(self.saved)
        self._input.clear()
        self._last = self._reading_until_ms = None

    @property
    def setting_codes_open(self) -> bool:
        """True: a printed setting code reconfigures the module. So from the factory."""
        return not self.registers[SETTING_CODES] & SETTING_CODES_CLOSED

    @property
    def continuous(self) -> bool:
        """True: it reads whatever is held before it; else only on command."""
        return self.registers[MODE] & MODE_MASK == MODE_CONTINUOUS

    @property
    def same_code_ms(self) -> int:
        """A held code is typed again after this time; 0: as fast as it can be read."""
        value = self.registers[SAME_CODE]
        return (value & 0x7F) * UNIT_MS if value & 0x80 else 0

    def received(self, now_ms: int, data: bytes) -> bytes:
        """Take bytes from the host; the answers to all frames completed by them."""
        self._input += data
        answers = b""
        while (answer := self._next_answer(now_ms)) is not None:
            answers += answer
        return answers

    def looks_at(self, now_ms: int, code: bytes) -> bytes:
        """A code is before the window; what is typed for it now, which is nothing when it is not the time to read."""
        if not code or len(code) > CODE_BYTES_MAX:
            return b""
        if not self.continuous:
            if self._reading_until_ms is None or now_ms > self._reading_until_ms:
                return b""
        elif self._last and self._last[0] == code and now_ms - self._last[1] < self.same_code_ms:
            return b""
        self._reading_until_ms = None
        self._last = (code, now_ms)
        setting = self._setting(code)
        if setting and self.setting_codes_open:
            typed_out = self.registers[SETTING_CODES] & SETTING_CODES_TYPED
            self._write(now_ms, setting[0], bytes([setting[1]]))
            # A setting code lasts over a power cut: that is what makes one in a visitor's hand so bad.
            self.saved = bytes(self.registers)
            return code + self._ending() if typed_out else b""
        return code + self._ending()

    def _ending(self) -> bytes:
        return ENDINGS[self.registers[ENDING] >> 5 & 3]

    @staticmethod
    def _factory() -> bytes:
        registers = bytearray(REGISTERS)
        for address, value in FACTORY.items():
            registers[address] = value
        return bytes(registers)

    @staticmethod
    def _setting(code: bytes) -> tuple[int, int] | None:
        if code in _SETTING_WORDS:
            return _SETTING_WORDS[code]
        match = _SETTING.fullmatch(code)
        return (int(match[1], 16), int(match[2], 16)) if match else None

    def _next_answer(self, now_ms: int) -> bytes | None:
        """The answer to the first frame in the input, b"" for something skipped, None: more bytes are needed."""
        start = self._input.find(FRAME_HEAD)
        if start < 0:
            del self._input[: len(self._input) - (1 if self._input.endswith(FRAME_HEAD[:1]) else 0)]
            return None
        del self._input[:start]
        if len(self._input) < 4:
            return None
        kind, count = self._input[2], self._input[3]
        # A read carries one byte, how many registers it wants, whatever its count says.
        data_length = 1 if kind == READ else count
        if kind not in (READ, WRITE, SAVE) or not 1 <= count <= FRAME_DATA_MAX:
            return self._refuse()
        if len(self._input) < 6 + data_length + 2:
            return None
        body = bytes(self._input[2 : 6 + data_length])
        check = bytes(self._input[6 + data_length : 8 + data_length])
        if check not in (CRC_NOT_CHECKED, crc16(body)):
            return self._refuse()
        del self._input[: 8 + data_length]
        return self._carry_out(now_ms, kind, int.from_bytes(body[2:4], "big"), body[4:])

    def _refuse(self) -> bytes:
        # The real one is silent about a frame that it cannot take; the host finds out by its own time-out.
        self.frames_refused += 1
        del self._input[:2]
        return b""

    def _carry_out(self, now_ms: int, kind: int, address: int, data: bytes) -> bytes:
        if kind == SAVE:
            self.saved = bytes(self.registers)
            return self._reply(b"\x00")
        if kind == READ:
            count = data[0] or REGISTERS
            if address + count > REGISTERS:
                self.frames_refused += 1
                return b""
            return self._reply(bytes(self.registers[address : address + count]))
        if address + len(data) > REGISTERS:
            self.frames_refused += 1
            return b""
        self._write(now_ms, address, data)
        return self._reply(b"\x00")

    @staticmethod
    def _reply(data: bytes) -> bytes:
        body = bytes([STATUS_OK, len(data) & 0xFF]) + data
        return REPLY_HEAD + body + crc16(body)

    def _write(self, now_ms: int, address: int, data: bytes) -> None:
        for place, value in enumerate(data, address):
            if place == RESET:
                if value in RESET_VALUES:
                    self.registers = bytearray(self._factory())
            elif place == TRIGGER:
                if value & 1 and not self.continuous:
                    self._reading_until_ms = now_ms + self.registers[READING_TIME] * UNIT_MS
            elif place < REGISTERS and place not in READ_ONLY:
                self.registers[place] = value
