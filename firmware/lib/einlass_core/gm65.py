"""The GM65 family of UART scanners (GM65, GM861, GM812): command frames out, codes and acknowledgements in.

Frames (from public drivers and manuals; the CRC was recomputed): host to module 7E 00 | type | length | address, two
bytes | data | CRC-16/XMODEM over type..data, or AB CD for "do not check". Module to host 02 00 | 00 ok | length |
data | CRC. Acknowledgements and code texts arrive glued together on one stream, which is what Splitter is for.
"""

from einlass_core.codes import CODE_LENGTH_MAX

REGISTER_SETTING_CODES = 0x0003
SETTING_CODES_OFF = 0x02  # bit 1 set: printed setting codes are not obeyed
_HEAD = 0x02  # and 00
_REPLY_OVERHEAD = 6
REPLY_DATA_MAX = 16


def crc16(data: bytes) -> int:
    """CRC-16/XMODEM: polynomial 0x1021, start 0, not reflected."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def write_register(address: int, value: int) -> bytes:
    """The frame that sets one register until the power goes."""
    body = bytes((0x08, 0x01, address >> 8, address & 0xFF, value))
    crc = crc16(body)
    return b"\x7e\x00" + body + bytes((crc >> 8, crc & 0xFF))


def provision() -> bytes:
    """What a node sends a scanner at start: no printed code may reconfigure it, or a visitor could."""
    return write_register(REGISTER_SETTING_CODES, SETTING_CODES_OFF)


class Splitter:
    """Tells the module's replies from codes; a code ends with CR, LF or a pause. Feed it bytes as they come.

    A reply is looked for only while one is awaited, and one command has one: a visitor's code may hold any bytes, also
    those of a reply.
    A code longer than CODE_LENGTH_MAX is cut one byte above, so that it is refused as too long and not held in memory.
    """

    def __init__(self) -> None:
        self.awaits_reply = False
        self._buffer = b""
        self._overlong = False

    @property
    def waiting(self) -> bool:
        """Whether something without an end is held; call paused() when no byte has followed for a while."""
        return self._overlong or self._buffer != b""

    def feed(self, data: bytes) -> "tuple[list[bytes], list[bytes]]":
        """(codes, replies: status and data) that are complete now."""
        codes: "list[bytes]" = []
        replies: "list[bytes]" = []
        self._buffer += data
        while self._buffer:
            if self.awaits_reply and self._buffer[0] == _HEAD and not self._overlong:
                reply = self._take_reply()
                if reply is None:
                    break
                if reply:
                    replies.append(reply)
                    self.awaits_reply = False
                    continue
            if not self._take_code(codes):
                break
        return codes, replies

    def paused(self) -> "list[bytes]":
        """The line has been silent: what came without an end is a code, too."""
        code = b"" if self._overlong else self._buffer
        self._buffer = b""
        self._overlong = False
        return [code] if code else []

    def _take_reply(self) -> "bytes | None":
        """None: not whole yet. Empty: it is no reply."""
        buffer = self._buffer
        length = buffer[3] if len(buffer) > 3 else 0
        if (len(buffer) > 1 and buffer[1]) or length > REPLY_DATA_MAX:
            return b""
        end = _REPLY_OVERHEAD + length
        if len(buffer) < end:
            return None
        if crc16(buffer[2 : end - 2]) != buffer[end - 2] << 8 | buffer[end - 1]:
            return b""
        self._buffer = buffer[end:]
        return buffer[2:3] + buffer[4 : 4 + length]

    def _take_code(self, codes: "list[bytes]") -> bool:
        end = -1
        for at in range(len(self._buffer)):
            if self._buffer[at] in (10, 13):
                end = at
                break
        if end < 0:
            if len(self._buffer) > CODE_LENGTH_MAX:
                if not self._overlong:
                    codes.append(self._buffer[: CODE_LENGTH_MAX + 1])
                self._overlong = True
                self._buffer = b""
            return False
        code = self._buffer[:end]
        self._buffer = self._buffer[end + 1 :]
        if self._overlong:
            self._overlong = False
        elif code:
            codes.append(code[: CODE_LENGTH_MAX + 1])
        return True
