"""A car park's till on the real line: broker, controller and the till's node as processes, its devices simulated.

    async with TillSite(directory) as site:
        code = await site.drive_in()                 # a car has taken a ticket
        await site.stand.scanner.hold(code)          # what a driver does: see devices/till_stand.py
        await site.call("GET", "/parking/takings")   # the controller's books
        await site.told(2)                           # the till has two vouchers on its list, a tariff and keys
        await site.cut()                             # nobody hears anybody any more, until site.mend()

Its one entry is a post that speaks the wire; everything else is the product. The tariff is one euro for every started
hour.
"""

import asyncio
import contextlib
import datetime
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from einlass_controller.broker import controller_user, node_user
from einlass_controller.plan import read_plan
from einlass_controller.setup import set_up
from einlass_core import codes, stamp, wire, wire_till
from einlass_sim.brokers import BrokerKind, start_broker
from einlass_sim.devices.till_stand import TillStand
from einlass_sim.processes import LOOPBACK, Process, free_port

wire_till.join()
SITE, ENTRY, TILL = "stadt", "einfahrt", "kasse"
HOUR_CENTS = 100
LOST_CENTS = 500
POOL_CENTS = 450
WAIT_S_MAX = 40.0
CALL_S_MAX = 10.0
LOOK_S = 0.005
TARIFF = """\
tariff = "parkplatz"
title = "Parkplatz"
valid_from = 2020-01-01
grace_minutes = 15

[rate.hour]
steps = [{ minutes = 60, cents = 100 }]
"""
PLAN = """\
[site]
id = "stadt"
name = "Stadt"

[[zone]]
id = "bad"
name = "Bad"
cap = 100

[[zone]]
id = "parkplatz"
name = "Parkplatz"
cap = 1000
tariff = "parkplatz.toml"
lost_ticket_cents = 500

[[node]]
id = "einfahrt"

[[node]]
id = "kasse"

[[lane]]
id = "einfahrt"
zone = "parkplatz"
node = "einfahrt"
name = "Einfahrt"
issues = "parkschein"

[[till]]
id = "kasse"
node = "kasse"
zone = "parkplatz"
name = "Kasse"
"""
NODE = """\
site = "stadt"
node = "kasse"
journal = "till.db"
[broker]
host = "127.0.0.1"
port = {port}
password = {password}
"""


class SiteError(RuntimeError):
    """A part did not do what it should have done in time, or the controller refused; the text says which."""


class EntryPost:
    """The entry's node, as the wire shows it: gives out tickets, and every car drives in."""

    def __init__(self, port: int, password: str) -> None:
        self._inc = f"post{time.time_ns() % 1_000_000_000}"
        self._seq = self._cars = 0
        self._account = {"epoch": 0, "version": 0, "ceiling": 0, "balance": 0, "pending": 0}
        self._heard: dict[str, dict[str, Any]] = {}
        self._acknowledged = 0
        self._key = (0, b"")
        self._ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, ENTRY)
        self._client.username_pw_set(ENTRY, password)
        self._client.on_connect = lambda client, *_: client.subscribe(wire.topic_down(SITE, ENTRY, "#"), 1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._received
        self._client.connect(LOOPBACK, port)
        self._client.loop_start()

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()

    async def open(self) -> None:
        """Say hello."""
        await _until(self._ready.is_set, "the entry is subscribed")
        self._say("hello", software="sim", hardware="sim", reason="power")
        self._say("status", ms=1, lane="locked", waiting=0, emergency=False, stamp=0)
        await _until(lambda: bool(self._key[0]), "the entry has the key of its tickets' stamps")

    def stamped(self, code: str, entered_ms: int) -> str:
        """What the QR of a ticket says that was given out then."""
        return stamp.stamped(code, entered_ms // 1000, *self._key)

    async def drive_in(self) -> str:
        """The code of the ticket that a car has taken. SiteError when it was not let in."""
        self._cars += 1
        nonce, code = f"{self._inc}.1.{self._cars}", codes.opaque(time.time_ns() % (1 << 70))
        self._say("ask", nonce=nonce, side="entry", code=code)
        await _until(lambda: nonce in self._heard, "the entry's question is answered")
        answer = self._heard[nonce]
        if answer["code"] != "ok":
            raise SiteError(f"the entry answers {answer['code']}")
        self._account["balance"] += 1
        self._account["pending"] += 1
        self._event("released", nonce=nonce, side="entry", persons=1)
        self._account["pending"] -= 1
        self._event("passed", nonce=nonce, side="entry", persons=1)
        await _until(lambda: self._acknowledged >= self._seq, "the car is counted")
        return code

    def _event(self, kind: str, **fields: Any) -> None:
        self._seq += 1
        self._say("event", kind=kind, ms=1, unix_ms=0, **fields)

    def _say(self, message: str, **fields: Any) -> None:
        identity = {"inc": self._inc, "boot": 1, "seq": self._seq, "account": self._account}
        self._client.publish(wire.topic_up(SITE, ENTRY, message), wire.encode(message, {**identity, **fields}), 1)

    def _received(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        kind = wire.kind_of(message.topic)
        fields = wire.decode(kind, bytes(message.payload)) if kind in ("answer", "limit", "ack", "stamp") else {}
        if fields.get("inc") != self._inc:
            return
        limit = fields.get("limit")
        if limit and (limit["epoch"], limit["version"]) > (self._account["epoch"], self._account["version"]):
            self._account.update({name: limit[name] for name in ("epoch", "version", "ceiling")})
        if kind == "answer":
            self._heard[fields["nonce"]] = fields
        elif kind == "ack":
            self._acknowledged = fields["seq"]
        elif kind == "stamp":
            self._key = fields["day"], bytes.fromhex(fields["key"])


class TillSite:
    """The whole of it. kind as in TillStand; extra: more keys of [till]."""

    def __init__(
        self,
        directory: Path,
        kind: str = "pay-on-foot",
        extra: str = "",
        broker: BrokerKind | None = None,
    ) -> None:
        self.directory = directory
        self.stand = TillStand(directory, kind)
        self._extra = extra
        self._broker = broker
        self._stack = AsyncExitStack()
        self._lots: dict[tuple[str, int, str], int] = {}
        self._entered_ms: dict[str, int] = {}
        self.serials: dict[str, int] = {}  # of the vouchers, by code

    async def __aenter__(self) -> "TillSite":
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _open(self) -> None:
        directory, enter = self.directory, self._stack
        (directory / "parkplatz.toml").write_text(TARIFF)
        (directory / "site.toml").write_text(PLAN)
        mqtt_port, http_port = free_port(), free_port()
        made = set_up(
            read_plan(directory / "site.toml"), directory / "controller", mqtt_port=mqtt_port, http_port=http_port
        )
        users = [node_user(SITE, node, made.passwords[node]) for node in (ENTRY, TILL)]
        users.append(controller_user(made.passwords["controller"]))
        self.broker = enter.enter_context(start_broker(self._broker, directory / "broker", users, mqtt_port))
        self._url, self._key = f"http://{LOOPBACK}:{http_port}", made.api_key
        run = [sys.executable, "-m", "einlass_cli"]
        command = [*run, "controller", "run", "--dir", str(made.directory)]
        self.controller = enter.enter_context(Process("controller", command, directory=directory))
        await self.healthy()
        await enter.enter_async_context(self.stand)
        self._config = directory / "node.toml"
        self._head = NODE.format(port=mqtt_port, password=json.dumps(made.passwords[TILL]))
        self._config.write_text(self._head + self.stand.section(self._extra))
        command = [*run, "node", "--config", str(self._config)]
        self.node = enter.enter_context(Process("till", command, directory=directory))
        self.entry = EntryPost(mqtt_port, made.passwords[ENTRY])
        enter.callback(self.entry.close)
        await self.entry.open()
        await self.until(self._till_is_known, "the controller hears the till")

    async def cut(self) -> None:
        """The broker is gone: the till cannot even ask."""
        await asyncio.to_thread(self.broker.kill)
        await self.until(lambda: self._events("link_down") > 0, "the till has noticed")

    async def mend(self) -> None:
        """The broker is back; the till is connected when this returns."""
        links = self._events("link_up")
        await asyncio.to_thread(self.broker.start)
        await self.until(lambda: self._events("link_up") > links, "the till is connected")

    async def told(self, vouchers: int) -> None:
        """Until the till has its tariff, the keys of stamps, and so many vouchers on its list."""

        def has() -> bool:
            listed = sum(int(entry["entries"]) for entry in self._logged("list"))
            return listed >= vouchers and bool(self._logged("tariff")) and bool(self._logged("stamp_key"))

        await self.until(has, f"the till has {vouchers} vouchers, tariff and keys")

    async def alone(self, count: int) -> None:
        """Until the till has sold so much by itself, as its journal says."""
        await self.until(lambda: self.sold_alone >= count, f"{count} sales alone")

    @property
    def sold_alone(self) -> int:
        """Sales that the till has written down without the controller's price."""
        return sum("alone" in entry.get("sale", {}) for entry in self._logged("recorded") if entry["kind"] == "paid")

    def _logged(self, event: str) -> list[dict[str, Any]]:
        mark, found = f'"event": "{event}"', []
        for line in self.node.log_path.read_text(errors="replace").splitlines():
            if mark in line:
                with contextlib.suppress(ValueError):  # half of the last line
                    found.append(json.loads(line))
        return found

    async def become(self, kind: str, products: tuple[tuple[str, str, str], ...] = ()) -> None:
        """Another kind of machine, with the same devices and journal; products, as in TillStand, are sold from now."""
        await asyncio.to_thread(self.node.terminate)
        if products:
            sold = [{"id": name, "name": text, "entries": 1, "price_cents": POOL_CENTS} for _, name, text in products]
            await self.call("POST", "/rules", {"rules": {"product": sold}, "by": "sim", "reason": "a desk"})
        self.stand.kind, self.stand.products = kind, products
        self._config.write_text(self._head + self.stand.section(self._extra))
        await self.start_till()

    async def start_till(self, linked: bool = True) -> None:
        """Start its node again; it is connected when this returns, or (linked False) at least up."""
        event = "link_up" if linked else "node_starts"
        before = self._events(event)
        self.node.start()
        await self.until(lambda: self._events(event) > before, "the till is there")

    def _events(self, event: str) -> int:
        return self.node.log_path.read_text(errors="replace").count(f'"event": "{event}"')

    async def healthy(self) -> None:
        """Until the controller answers."""
        await self.until(self._healthy, "the controller is well")

    async def _healthy(self) -> bool:
        try:
            return bool((await self.call("GET", "/healthz", root=""))["ok"])
        except SiteError:
            return False

    async def _till_is_known(self) -> bool:
        tills = await self.call("GET", "/parking/tills")
        return bool(tills[0]["online"] and tills[0]["account"])

    # -- the world

    async def drive_in(self, minutes: int = 30) -> str:
        """A car has come so many minutes ago (staff corrects its entry); the code of its ticket."""
        code = await self.entry.drive_in()
        stays = await self.call("GET", "/parking/stays?state=inside")
        newest = max(stays, key=lambda stay: int(stay["entered_ms"]))
        entered = datetime.datetime.fromtimestamp(newest["entered_ms"] / 1000 - minutes * 60, datetime.UTC)
        order = {"entered": entered.isoformat(), "by": "sim", "reason": "it came earlier"}
        await self.call("POST", f"/parking/stays/{newest['id']}/correct", order)
        self._entered_ms[code] = newest["entered_ms"] - minutes * 60_000
        return code

    def ticket(self, code: str) -> str:
        """What the QR of that car's ticket says: its code, and when it came."""
        return self.entry.stamped(code, self._entered_ms[code])

    async def voucher(self, kind: str = "cents", value: int = 50, alone: str = "own", to_till: bool = False) -> str:
        """The code of a new voucher that its shop has handed out. alone: what tills may do with it while they are cut
        off; to_till: it is made the till's own.
        """
        if not self._lots:
            await self.call("POST", "/partners", {"id": "baker", "name": "Bäcker"})
        if (kind, value, alone) not in self._lots:
            order = {"kind": kind, "value": value, "size": 1000, "partner": "baker", "medium": "digital"}
            order["while_cut_off"] = alone
            self._lots[kind, value, alone] = (await self.call("POST", "/lots", order))["id"]
        made = await self.call("POST", f"/lots/{self._lots[kind, value, alone]}/hand-out", {})
        if to_till:
            given = {"first": made["serial"], "last": made["serial"], "till": TILL, "reason": "no line"}
            await self.call("POST", "/vouchers/hand-over", given)
        self.serials[str(made["code"])] = int(made["serial"])
        return str(made["code"])

    async def account(self) -> dict[str, int]:
        """The till's money by the controller's books."""
        tills = await self.call("GET", "/parking/tills")
        account: dict[str, int] = tills[0]["account"]
        return account

    async def takings(self) -> list[dict[str, Any]]:
        """What the till took today, by what it was for."""
        found: list[dict[str, Any]] = await self.call("GET", "/parking/takings")
        return found

    async def ledger(self, kind: str) -> list[dict[str, Any]]:
        """Entries of that kind, oldest first."""
        found: list[dict[str, Any]] = []
        after = 1  # after 0 the API tells the newest ones; the first is the site's beginning
        while entries := await self.call("GET", f"/ledger?after={after}&limit=500"):
            found += [json.loads(entry["body"]) for entry in entries if entry["kind"] == kind]
            after = entries[-1]["number"]
        return found

    async def shows(self, part: str) -> None:
        """Until the customer reads it."""
        await _until(lambda: part in self.stand.shown, f"the display shows {part!r}, not {self.stand.shown!r}")

    async def until(self, true: Callable[[], Any], what: str) -> None:
        """Until `true` (it may be a coroutine function) says so. SiteError with what else there was."""
        end_s = time.monotonic() + WAIT_S_MAX
        while True:
            found = true()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            if time.monotonic() > end_s:
                logs = "\n".join(part.log_tail(15) for part in (self.controller, getattr(self, "node", None)) if part)
                raise SiteError(f"not in time: {what}; the display shows {self.stand.shown!r}\n{logs}")
            await asyncio.sleep(LOOK_S)

    async def call(self, method: str, path: str, body: Any = None, root: str = "/api/v1") -> Any:
        """One request to the controller's API. SiteError when it refuses or is not there."""
        return await asyncio.to_thread(self._call, method, root + path, body)

    def _call(self, method: str, path: str, body: Any) -> Any:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=CALL_S_MAX) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise SiteError(f"{method} {path}: {error.read(500).decode(errors='replace')}") from error
        except OSError as error:
            raise SiteError(f"{method} {path}: {error}") from error


async def _until(true: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + WAIT_S_MAX
    while not true():
        if time.monotonic() > end_s:
            raise SiteError(f"not in time: {what}")
        await asyncio.sleep(LOOK_S)
