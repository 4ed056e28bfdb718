"""The node of a free-space sign: shows how many places are free, and nothing that it does not know.

It has no lane and keeps no journal: it says hello with a new incarnation at every start, and an account of zeros.
"""

import asyncio
import secrets
from pathlib import Path
from typing import Any

import structlog

from einlass_core.lease import Account
from einlass_core.wire import NAME_LENGTH_MAX
from einlass_edge.clock import now_ms
from einlass_edge.config_sign import SignNodeConfig
from einlass_edge.drivers.customer_display import CustomerDisplay
from einlass_edge.drivers.driver import Now
from einlass_edge.link import Link
from einlass_edge.node_parts import INCARNATION_BYTES, Stop, software
from einlass_edge.notify import notify, watchdog

STALE_MS = 90_000
LOOK_S = 1.0
UNKNOWN = "---"
_FREE, _ABOUT, _FULL, _CLOSED = range(4)
_WORDS = {
    "de": ("Frei {n}", "Frei ca. {n}", "Besetzt", "Geschlossen"),
    "en": ("{n} free", "About {n} free", "Full", "Closed"),
}

log = structlog.get_logger(__name__)


class Places:
    """What the sign says: pure. take() a message `places`, text() what stands there at a moment."""

    def __init__(self, zone: str, language: str) -> None:
        self._zone = zone
        self._words = _WORDS[language]
        self._told: dict[str, Any] | None = None
        self._told_ms = 0

    def take(self, now_ms: int, fields: dict[str, Any]) -> bool:
        """False: it is about another zone."""
        if fields["zone"] != self._zone:
            return False
        self._told, self._told_ms = fields, now_ms
        return True

    def text(self, now_ms: int) -> str:
        """UNKNOWN before anything was told and STALE_MS after the last time."""
        told = self._told
        if told is None or now_ms - self._told_ms >= STALE_MS:
            return UNKNOWN
        if not told["open"]:
            return self._words[_CLOSED]
        if not told["free"]:
            return self._words[_FULL]
        return self._words[_ABOUT if told["about"] else _FREE].format(n=told["free"])


class SignNode:
    """One sign. run() it once."""

    def __init__(self, config: SignNodeConfig, directory: Path, password: str, now: Now = now_ms) -> None:
        """Relative paths in the configuration count from `directory`."""
        sign = config.sign
        self._now_ms = now
        self._places = Places(sign.zone, sign.language)
        self._title = sign.title
        self._incarnation = secrets.token_hex(INCARNATION_BYTES)
        self._display = CustomerDisplay(str(directory / sign.serial), sign.baud, self._report, sign.code_page)
        self._troubles: set[str] = set()
        self._shown = ""
        self._link = Link(
            self,
            site=config.site,
            node=config.node,
            host=config.broker.host,
            port=config.broker.port,
            password=password,
            ca=str(directory / config.broker.ca) if config.broker.ca else None,
            software=software(),
            hardware="pi-sign",
            reason="restart",
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set."""
        log.info("sign_starts", inc=self._incarnation)
        try:
            async with asyncio.TaskGroup() as tasks:
                for work in (self._display.run(), self._link.run(), self._look(), watchdog()):
                    tasks.create_task(work)
                notify("READY=1")
                await stop.wait()
                notify("STOPPING=1")
                raise Stop
        except* Stop:
            log.info("sign_stopped")

    def received(self, kind: str, fields: dict[str, Any]) -> None:
        """See link.Hears."""
        if kind == "places":
            if not self._places.take(self._now_ms(), fields):
                log.warning("places_of_another_zone", zone=fields["zone"])
            self._show()

    def link_changed(self, up: bool) -> None:
        """See link.Hears."""
        if up:
            for reason in sorted(self._troubles):
                self._alarm(reason)

    def identity(self) -> dict[str, Any]:
        """See link.Hears."""
        return {"inc": self._incarnation, "boot": 1, "seq": 0, "account": Account().as_dict()}

    async def _look(self) -> None:
        """What was told grows old by itself."""
        while True:
            self._show()
            await asyncio.sleep(LOOK_S)

    def _show(self) -> None:
        text = self._places.text(self._now_ms())
        if text != self._shown:
            self._shown = text
            log.info("sign_shows", text=text)
            self._display.show(self._title, text)

    def _report(self, reason: str, began: bool) -> None:
        (self._troubles.add if began else self._troubles.discard)(reason)
        self._alarm(reason if began else f"{reason}_over")

    def _alarm(self, reason: str) -> None:
        fields = {"inc": self._incarnation, "reason": reason[:NAME_LENGTH_MAX], "ms": self._now_ms()}
        self._link.publish("alarm", fields)
