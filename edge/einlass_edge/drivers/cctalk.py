"""ccTalk: frames, addresses and one request at a time on a single-wire bus. 9600 baud, 8N1.

A frame is `destination | data count | source | header | data | checksum`; all its bytes add up to 0 modulo 256. The
master is 1; an answer has header 0, a refusal 5 (NAK), busy 6. One wire for both directions: the master hears itself.
Facts from the ccTalk generic specification 4.7 (Money Controls / Crane), as the public sources of the crate
cc_talk_core, of PashaPash/ccTalk-net and of vltgroup/ccTalk give them.

An answer carries no number: one that comes after its time could be taken for the next. So the line is emptied before
each request, and drivers never believe an acknowledgement about money: they ask for the device's own event counter.
"""

import asyncio

from einlass_edge.drivers.tty import Tty

MASTER = 1
ACCEPTOR = 2
HOPPER_FIRST, HOPPER_LAST = 3, 10
BAUD = 9600
DATA_MAX = 255
OVERHEAD = 5
ANSWER, NAK, BUSY = 0, 5, 6

RESET = 1
REQUEST_CIPHER_KEY = 160
TEST_HOPPER, ENABLE_HOPPER = 163, 164
HOPPER_STATUS, DISPENSE, HOPPER_COIN, EMERGENCY_STOP = 166, 167, 171, 172
COIN_ID = 184
MODIFY_SORTER_PATHS = 210
PAYOUT_LEVELS = 217
MASTER_INHIBIT, READ_CREDIT, REQUEST_INHIBITS, INHIBITS, SELF_CHECK = 228, 229, 230, 231, 232
SERIAL_NUMBER = 242
SIMPLE_POLL = 254

ANSWER_S = 0.5
TRIES = 3


class CcTalkError(OSError):
    """A device did not answer, or refused; the text says which and what."""


class Refused(CcTalkError):
    """The device is there and says no (NAK or busy)."""


def frame(destination: int, header: int, data: bytes = b"", source: int = MASTER) -> bytes:
    """One frame with its checksum. ValueError when there is too much data."""
    if len(data) > DATA_MAX:
        raise ValueError(f"a ccTalk frame holds at most {DATA_MAX} bytes of data")
    body = bytes([destination, len(data), source, header]) + data
    return body + bytes([-sum(body) & 0xFF])


def find_answer(received: bytes, sent: bytes, device: int) -> tuple[int, bytes] | None:
    """Header and data of this device's answer in what came in; None: not (yet) there.

    Our own echo and whatever noise stands around are stepped over.
    """
    echo = received.find(sent)
    at = echo + len(sent) if echo >= 0 else 0
    for start in range(at, len(received) - OVERHEAD + 1):
        end = start + OVERHEAD + received[start + 1]
        if received[start] != MASTER or received[start + 2] != device or end > len(received):
            continue
        if not sum(received[start:end]) & 0xFF:
            return received[start + 3], received[start + 4 : end - 1]
    return None


class CcTalkBus:
    """One bus with all of its devices. Opens its port when it is first asked, again after it was lost."""

    def __init__(self, port: str, baud: int = BAUD, answer_s: float = ANSWER_S) -> None:
        self.retries = 0
        self._port = port
        self._baud = baud
        self._answer_s = answer_s
        self._tty: Tty | None = None
        self._turn = asyncio.Lock()

    def close(self) -> None:
        """Give the port back."""
        if self._tty is not None:
            self._tty.close()
            self._tty = None

    async def ask(self, device: int, header: int, data: bytes = b"", *, count: int | None, tries: int = TRIES) -> bytes:
        """One request; the data of its answer, which must have `count` bytes (None: any).

        Repeated up to `tries` times, so a request that must not be carried out twice has tries=1.
        Refused when the device says no; CcTalkError when nothing that can be its answer came.
        """
        async with self._turn:
            sent = frame(device, header, data)
            for attempt in range(tries):
                self.retries += attempt > 0
                answer = await self._exchange(sent, device, count)
                if answer is None:
                    continue
                if answer[0] in (NAK, BUSY):
                    raise Refused(f"ccTalk device {device} refuses command {header} ({answer[0]})")
                return answer[1]
        raise CcTalkError(f"ccTalk device {device} does not answer command {header}: power, address, cable?")

    async def _exchange(self, sent: bytes, device: int, count: int | None) -> tuple[int, bytes] | None:
        loop = asyncio.get_running_loop()
        try:
            if self._tty is None:
                self._tty = Tty(self._port, self._baud)
            self._tty.drop_input()
            await self._tty.write(sent, self._answer_s)
            received, until = b"", loop.time() + self._answer_s
            while (left_s := until - loop.time()) > 0:
                received += await self._tty.read(left_s)
                answer = find_answer(received, sent, device)
                if answer is not None and (count is None or answer[0] in (NAK, BUSY) or len(answer[1]) == count):
                    return answer
        except TimeoutError:
            return None
        except OSError:
            self.close()
            raise
        return None
