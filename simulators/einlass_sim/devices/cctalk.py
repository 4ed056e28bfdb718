"""A ccTalk bus on a pseudo terminal, with a coin acceptor and hoppers on it: the devices' side.

    bus = CcTalkBus(link)
    bus.add(acceptor := CoinAcceptor({"EU005A": 1, ...}))        # address 2
    bus.add(hopper := Hopper(3, "EU100A", coins=50))
    async with bus:
        acceptor.insert("EU100A")      # True: it is in the machine; False: it came back
        hopper.fallen                  # how many coins lie in the tray: truth

Everything that the master sends comes back to it, for there is one wire (echo=False: an adapter that hides that).
Faults of the line: bus.lose_answers = n, bus.noise (bytes before each answer), bus.garble (share of answers with a
wrong byte), device.silent. Facts: ccTalk generic specification 4.7 (frames, commands, error codes), through public
sources; what a device does when it is reset or jammed is the maker's, and here as the specification hints.
"""

import asyncio
import contextlib
import os
import random
from collections import deque
from pathlib import Path
from types import TracebackType

from einlass_sim.devices.pty_end import PtyEnd

ANSWER, NAK = 0, 5
MASTER = 1
EVENTS_KEPT = 5
REJECTED, INHIBITED, SORTER_BLOCKED, SORTER_NOT_READY, CREDIT_BLOCKED = 1, 2, 15, 11, 14
NO_COIN = b"......"
FRAME_GAP_S = 0.05


class Device:
    """Something on the bus. Unknown commands are not answered, as the specification says."""

    def __init__(self, address: int, serial_number: int) -> None:
        self.address = address
        self.silent = False
        self.requests: list[int] = []
        self.serial_number = serial_number

    def answer(self, header: int, data: bytes) -> tuple[int, bytes] | None:
        """The header and data of the answer; None: silence."""
        self.requests.append(header)
        if header == 254:
            return ANSWER, b""
        if header == 242:
            return ANSWER, self.serial_number.to_bytes(3, "little")
        if header == 1:
            self.reset()
            return ANSWER, b""
        return self.command(header, data)

    def command(self, header: int, data: bytes) -> tuple[int, bytes] | None:
        """What is special to this device."""
        raise NotImplementedError

    def reset(self) -> None:
        """Power was away: volatile settings and counters begin anew."""
        raise NotImplementedError


class CoinAcceptor(Device):
    """Coins by their names -> position. Where a coin goes: boxes[path], full at capacity coins (None: never)."""

    def __init__(self, positions: dict[str, int], address: int = 2, capacity: int | None = None) -> None:
        super().__init__(address, 0x12_34_56)
        self.positions = dict(positions)
        self.boxes: dict[int, list[str]] = {path: [] for path in range(1, 9)}
        self.capacity = capacity
        self.jammed = False
        self.counter = 0
        self.returned = 0
        self._events: deque[tuple[int, int]] = deque(maxlen=EVENTS_KEPT)
        self._mask = 0
        self._master = True
        self._paths: dict[int, int] = {}

    def insert(self, coin: str) -> bool:
        """Somebody drops a coin; whether it stays in the machine."""
        position = self.positions.get(coin)
        if self.jammed:
            self.event(0, CREDIT_BLOCKED)
        elif position is None:
            self.event(0, REJECTED)
        elif not self._master or not self._mask >> (position - 1) & 1:
            self.event(0, INHIBITED)
        else:
            path = self._paths.get(position, 1)
            if self.full(path):
                self.event(0, SORTER_BLOCKED)
            else:
                self.boxes[path].append(coin)
                self.event(position, path)
                return True
        self.returned += 1
        return False

    def takes(self, coin: str) -> bool:
        """Whether the slot is open for it: what the lamp beside it says."""
        position = self.positions.get(coin, 0)
        return not self.jammed and self._master and bool(position and self._mask >> (position - 1) & 1)

    def full(self, path: int) -> bool:
        """No coin fits behind this path any more."""
        return self.capacity is not None and len(self.boxes[path]) >= self.capacity

    def event(self, position: int, detail: int) -> None:
        """Put an event into the buffer, as the device does for every coin and fault."""
        self.counter = self.counter % 255 + 1
        self._events.appendleft((position, detail))

    @property
    def inside(self) -> list[str]:
        """All coins that are in the machine."""
        return [coin for box in self.boxes.values() for coin in box]

    def reset(self) -> None:
        """No events, and every coin inhibited until it is set up again."""
        self.counter = 0
        self._events.clear()
        self._mask, self._master, self._paths = 0, True, {}

    def command(self, header: int, data: bytes) -> tuple[int, bytes] | None:
        """See Device."""
        if header == 229:
            events = [*self._events, *[(0, 0)] * EVENTS_KEPT][:EVENTS_KEPT]
            return ANSWER, bytes([self.counter, *(byte for event in events for byte in event)])
        if header == 228 and len(data) == 1:
            self._master = bool(data[0] & 1)
            return ANSWER, b""
        if header == 231 and len(data) == 2:
            self._mask = int.from_bytes(data, "little")
            return ANSWER, b""
        if header == 230:
            return ANSWER, self._mask.to_bytes(2, "little")
        if header == 227:
            return ANSWER, bytes([self._master])
        if header == 210 and len(data) >= 2:
            self._paths[data[0]] = data[1]
            return ANSWER, b""
        if header == 184 and len(data) == 1:
            names = {position: name.encode() for name, position in self.positions.items()}
            return ANSWER, names.get(data[0], NO_COIN)
        if header == 232:
            blocked = any(self.full(self._paths.get(position, 1)) for position in self.positions.values())
            return ANSWER, bytes([3 if self.jammed else 8 if blocked else 0])
        return None


class Hopper(Device):
    """One hopper full of one coin. Drops a coin every coin_s once it is enabled and told to. key: 3 bytes or 8."""

    def __init__(
        self, address: int, coin: str, coins: int, *, plain: bool = False, coin_s: float = 0.01, give_up_s: float = 0.05
    ) -> None:
        super().__init__(address, 0x65_43_21 + address)
        self.coin = coin
        self.coins = coins
        self.fallen = 0
        self.jammed = False
        self.low_coins, self.full_coins = 5, 1000
        self.counter = 0
        self.to_pay = self.paid = self.unpaid = 0
        self.enabled = False
        self.refuse = 0  # payouts to refuse with a NAK
        self.stays_enabled = False  # some models are enabled until told otherwise, others for one payout
        self._plain = plain
        self._key = bytes(8)
        self._flags = 0x40
        self._coin_s = coin_s
        self._give_up_s = give_up_s
        self._motor: asyncio.Task[None] | None = None

    def reset(self) -> None:
        """The motor stops where it is; nobody remembers the payout."""
        self._stop_motor()
        self.counter = self.to_pay = self.paid = self.unpaid = 0
        self.enabled = False
        self._flags = 0x40 | 0x80

    def command(self, header: int, data: bytes) -> tuple[int, bytes] | None:
        """See Device."""
        if header == 166:
            return ANSWER, bytes([self.counter, self.to_pay, self.paid, self.unpaid])
        if header == 164 and len(data) == 1:
            self.enabled = data == b"\xa5"
            self._flags &= ~0x80
            return ANSWER, b""
        if header == 171:
            return ANSWER, self.coin.encode()
        if header == 163:
            return ANSWER, bytes([self._flags, 0])
        if header == 217:
            return ANSWER, bytes([0x30 | (self.coins <= self.low_coins) | 0x02 * (self.coins >= self.full_coins)])
        if header == 172:
            self._stop_motor()
            self._end()
            return ANSWER, bytes([self.unpaid])
        if header == 160 and self._plain:
            self._key = random.randbytes(8)
            return ANSWER, self._key
        if header == 167:
            return self._dispense(data)
        return None

    def _dispense(self, data: bytes) -> tuple[int, bytes]:
        key = self._key if self._plain else self.serial_number.to_bytes(3, "little")
        # A plain hopper takes any eight bytes.
        fits = len(data) == len(key) + 1 and (self._plain or data[:-1] == key)
        if self.refuse or not fits or not self.enabled or self.to_pay or not data[-1]:
            self.refuse = max(0, self.refuse - 1)
            return NAK, b""
        self.counter = self.counter % 255 + 1
        self.to_pay, self.paid, self.unpaid = data[-1], 0, 0
        self._flags = 0
        self._motor = asyncio.get_running_loop().create_task(self._turn())
        # The answer carries the counter, but a driver that relies on it has not read what can be lost.
        return ANSWER, bytes([self.counter])

    async def _turn(self) -> None:
        while self.to_pay:
            await asyncio.sleep(self._coin_s)
            if self.jammed or not self.coins:
                await asyncio.sleep(self._give_up_s)
                if self.jammed or not self.coins:
                    self._flags |= 0x20 if self.jammed else 0x02
                    break
            self.coins -= 1
            self.fallen += 1
            self.to_pay -= 1
            self.paid += 1
        self._end()

    def _end(self) -> None:
        self.unpaid += self.to_pay
        self.to_pay = 0
        self.enabled = self.enabled and self.stays_enabled

    def _stop_motor(self) -> None:
        if self._motor:
            self._motor.cancel()
            self._motor = None


class CcTalkBus(PtyEnd):
    """The wire and what hangs on it."""

    def __init__(self, link: Path | None = None, *, echo: bool = True, rng: random.Random | None = None) -> None:
        super().__init__(link)
        self.lose_answers = 0
        self.noise = 0
        self.garble = 0.0
        self.frames = 0
        self._echo = echo
        self._rng = rng or random.Random()
        self._devices: dict[int, Device] = {}
        self._input = bytearray()
        self._gap: asyncio.TimerHandle | None = None

    def add(self, device: Device) -> None:
        """Hang a device on the wire. ValueError when its address is taken."""
        if device.address in self._devices:
            raise ValueError(f"address {device.address} is taken")
        self._devices[device.address] = device

    async def __aenter__(self) -> "CcTalkBus":
        self._plug_in()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deafen()
        if self._gap:
            self._gap.cancel()
        for device in self._devices.values():
            if isinstance(device, Hopper):
                device._stop_motor()
        self._unplug()

    def received(self, data: bytes) -> bytes:
        """Take bytes from the master; what the devices answer to the frames that they complete."""
        self._input += data
        answers = b""
        while len(self._input) >= 5:
            length = 5 + self._input[1]
            if len(self._input) < length:
                break
            raw = bytes(self._input[:length])
            if sum(raw) & 0xFF:
                # Out of step: look for a frame from the next byte on.
                del self._input[:1]
                continue
            del self._input[:length]
            answers += self._asked(raw)
        return answers

    def _asked(self, raw: bytes) -> bytes:
        self.frames += 1
        device = self._devices.get(raw[0])
        if device is None or device.silent:
            return b""
        answer = device.answer(raw[3], raw[4:-1])
        if answer is None:
            return b""
        if self.lose_answers:
            self.lose_answers -= 1
            return b""
        header, data = answer
        body = bytes([raw[2], len(data), device.address, header]) + data
        sent = bytearray(body + bytes([-sum(body) & 0xFF]))
        if self._rng.random() < self.garble:
            sent[self._rng.randrange(len(sent))] ^= self._rng.randrange(1, 256)
        return self._rng.randbytes(self.noise) + bytes(sent)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except (BlockingIOError, OSError):
            return
        if self._gap:
            self._gap.cancel()
        # A frame that is not finished within 50 ms is forgotten, or a lost byte would put the bus out of step for good.
        self._gap = asyncio.get_running_loop().call_later(FRAME_GAP_S, self._input.clear)
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, (data if self._echo else b"") + self.received(data))
