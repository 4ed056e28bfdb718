"""A till as a process at a real broker, its devices simulated on real lines, and a controller that speaks wire_till.py.

The controller here prices by a table; what is proved is the till: that money and shops' cards in the devices' own truth
are what the records say, whatever fails and whenever the process is killed.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt

from einlass_controller.broker import controller_user, new_password, node_user
from einlass_core import wire, wire_till
from einlass_core.codes import digest, opaque
from einlass_sim.brokers import Broker
from einlass_sim.devices.till_stand import TillStand
from einlass_sim.processes import Process
from scripted import ScriptedController

wire_till.join()

SITE, NODE_ID = "town", "kasse"
DEADLINE_S = 30.0
LOOK_S = 0.005
CONTROLLER = controller_user(new_password())
USER = node_user(SITE, NODE_ID, new_password())
FEE = 300
VOUCHER = 100
UNTIL_MS = 1_800_000_000_000
SPENT = opaque(999)

HEAD = """
site = "town"
node = "kasse"
journal = "journal.db"
[broker]
host = "127.0.0.1"
port = {port}
password_file = "password"
"""


def stay(number: int) -> str:
    """An entry ticket that nobody has paid yet."""
    return opaque(10_000 + number)


def voucher(number: int) -> str:
    """A shop's card worth VOUCHER cents."""
    return opaque(20_000 + number)


class Peer(ScriptedController):
    """Prices by a table, acknowledges records in order; a voucher is used once, as `paid` says."""

    def __init__(self, broker: Broker) -> None:
        self.asks: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.others: list[tuple[str, dict[str, Any]]] = []
        self.pricing = True
        self.used: set[str] = {digest(SPENT)}
        self.twice: list[str] = []
        super().__init__(broker, CONTROLLER, SITE)

    def kinds(self) -> list[str]:
        return [event["kind"] for event in self.events]

    def sales(self) -> list[dict[str, Any]]:
        return [event["sale"] for event in self.events if event["kind"] == "paid"]

    def last(self) -> dict[str, Any]:
        """The account in the newest record."""
        account: dict[str, Any] = self.events[-1]["till"]
        return account

    def alarms(self) -> list[str]:
        return [fields["reason"] for kind, fields in self.others if kind == "alarm"]

    def _send(self, kind: str, fields: dict[str, Any]) -> None:
        self.publish(wire.topic_down(SITE, NODE_ID, kind), wire.encode(kind, fields))

    def heard(self, message: mqtt.MQTTMessage) -> None:
        kind = wire.kind_of(message.topic)
        if "/up/" not in message.topic:
            return
        fields = wire.decode(kind, bytes(message.payload))
        if kind == "price":
            self.asks.append(fields)
            if self.pricing:
                self._price(fields)
        elif kind == "event":
            if fields["seq"] == len(self.events) + 1:
                self._apply(fields)
            self._send("ack", {"inc": fields["inc"], "seq": len(self.events)})
        else:
            self.others.append((kind, fields))
            if kind == "hello":
                self.tell_time()

    def _apply(self, fields: dict[str, Any]) -> None:
        self.events.append(fields)
        if fields["kind"] == "paid":
            for card in fields["sale"]["used"]:
                if card in self.used:
                    self.twice.append(card)
                self.used.add(card)

    def _price(self, ask: dict[str, Any]) -> None:
        cards = ask["cards"].split()
        good = [place for place, card in enumerate(cards) if digest(card) not in self.used]
        fields = {"inc": ask["inc"], "nonce": ask["nonce"], "code": "ok", "until": UNTIL_MS}
        fields["held"] = " ".join(map(str, good))
        if ask["what"] == "display":
            due, until = ask["paid"] // 50 * 50, ask["paid"] // 50 * 1_800_000 + UNTIL_MS
            fields.update(due=due, until=until, values={})
        else:
            saved = min(FEE, VOUCHER * len(good))
            lines = [["Bis 3 Stunden", "Up to 3 hours", FEE]]
            values = {"entered_ms": UNTIL_MS - 9_000_000, "fee_cents": FEE, "saved_cents": saved, "lines": lines}
            fields.update(due=FEE - saved, values=values)
        if ask["what"] == "exit" and ask["subject"] == SPENT:
            fields.update(code="invalid", due=0, held="", values={})
        self._send("priced", fields)


class Line:
    """Broker, controller, machine and its node's process."""

    def __init__(self, broker: Broker, stand: TillStand, directory: Path, extra: str) -> None:
        self.stand = stand
        self.peer = Peer(broker)
        (directory / "password").write_text(USER.password + "\n")
        config = directory / "node.toml"
        config.write_text(HEAD.format(port=broker.port) + stand.section(extra))
        command = [sys.executable, "-m", "einlass_edge.cli", "--config", str(config)]
        self.node = Process("till", command, directory=directory)

    async def start(self) -> None:
        """Until the till has said where it stands and waits for somebody."""
        hellos, starts = self._hellos(), self.peer.kinds().count("powered")
        await self.until(self.peer.listening.is_set, "the controller listens")
        self.node.start()
        await self.until(lambda: self._hellos() > hellos, "hello")
        await self.until(lambda: self.peer.kinds().count("powered") > starts, "powered")

    def _hellos(self) -> int:
        return sum(kind == "hello" for kind, _ in self.peer.others)

    async def until(self, true: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
        """Wait for it."""
        end_s = time.monotonic() + deadline_s
        while not true():
            assert time.monotonic() < end_s, (
                f"never: {what}\n{self.peer.kinds()}\n{self.stand.shown}\n{self.node.log_tail()}"
            )
            await asyncio.sleep(LOOK_S)

    async def shows(self, part: str) -> None:
        """Until the customer reads it."""
        await self.until(lambda: part in self.stand.shown, f"the display shows {part!r}")

    async def insert(self, *coins: str) -> None:
        """One coin after the other, while the lamp beside the slot is lit."""
        for coin in coins:
            await self.until(lambda coin=coin: self.stand.acceptor.takes(coin), f"the slot is open for {coin}")  # type: ignore[misc]
            assert self.stand.acceptor.insert(coin)

    async def begin(self, code: str) -> None:
        """Hold a ticket to the reader, until a price is shown."""
        await self.stand.scanner.hold(code)
        await self.shows("Zu zahlen")

    async def sold(self, count: int) -> dict[str, Any]:
        """The newest of so many sales."""
        await self.until(lambda: len(self.peer.sales()) >= count, f"{count} sales")
        return self.peer.sales()[count - 1]

    async def at_rest(self) -> None:
        """Nothing is owed to anybody here any more, and the controller has heard all of it."""

        def rests() -> bool:
            if not self.peer.events:
                return False
            account = self.peer.last()
            devices = (self.stand.cents_in, self.stand.cents_out)
            busy = any(hopper.to_pay for hopper in self.stand.hoppers.values()) or self.stand.terminal.busy
            told = (account["taken"], account["given"]) == devices
            open_still = account["credit"] or account["change"] or "card" in account or "slip" in account
            return told and not open_still and not busy

        await self.until(rests, "the till is at rest")

    def balance(self) -> None:
        """Devices and books agree to the cent, and to the card."""
        account, sales = self.peer.last(), self.peer.sales()
        named = account["kept"] + account["credit"] + account["change"] + account["owed"] - account["lost"]
        assert account["taken"] - account["given"] == named
        assert (account["taken"], account["given"]) == (self.stand.cents_in, self.stand.cents_out)
        assert account["kept"] == sum(sale["coins"] for sale in sales)
        owed = sum(event["sale"]["cents"] for event in self.peer.events if event["kind"] == "owed")
        assert (account["owed"], account["lost"]) == (owed, 0)
        assert self.stand.cents_inside == account["kept"] + owed
        if "doubt" not in account:
            assert self.stand.terminal.charged_cents == sum(sale["by_card"] for sale in sales)
        assert not self.peer.twice, "a card was used for two sales"
        assert [event["seq"] for event in self.peer.events] == list(range(1, len(self.peer.events) + 1))


@contextlib.asynccontextmanager
async def till_line(
    broker: Broker, directory: Path, kind: str = "pay-on-foot", extra: str = "show_ms = 500\n", **how: Any
) -> AsyncIterator[Line]:
    """A line that runs."""
    async with TillStand(directory, kind, **how) as stand:
        line = Line(broker, stand, directory, extra)
        try:
            await line.start()
            yield line
        finally:
            line.node.kill()
            line.peer.stop()


def run(work: Callable[[], Awaitable[None]], limit_s: float = 100.0) -> None:
    """Play a scene within its time."""
    asyncio.run(asyncio.wait_for(work(), limit_s))
