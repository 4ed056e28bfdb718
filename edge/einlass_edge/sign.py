"""The node of a free-space sign: shows how many places are free, and nothing that it does not know.

It has no lane: its journal stays empty and its account is all zeros.
"""

import asyncio
from pathlib import Path
from typing import Any

import structlog

from einlass_edge.clock import now_ms
from einlass_edge.config_sign import SignNodeConfig
from einlass_edge.drivers.customer_display import CustomerDisplay
from einlass_edge.drivers.driver import Now
from einlass_edge.shell import Shell

STALE_MS = 90_000
LOOK_S = 1.0
UNKNOWN = "---"
IDENTIFY, IDENTIFY_MS = "*" * 20, 5000
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


class SignNode(Shell):
    """One sign. Opening it opens the journal (JournalError); run() it once."""

    def __init__(self, config: SignNodeConfig, directory: Path, password: str, now: Now = now_ms) -> None:
        """Relative paths in the configuration count from `directory`."""
        super().__init__(config, directory, password, "pi-sign")
        sign = config.sign
        self._now_ms = now
        self._places = Places(sign.zone, sign.language)
        self._title = sign.title
        self._display = CustomerDisplay(self._place(sign.serial), sign.baud, self._report, sign.code_page)
        self._shown = ""
        self._identifying_until_ms = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set."""
        await self.serve(stop, self._look(), (self._display,))

    def rearm(self, command_id: str, first: str, second: str) -> None:
        """See commands.Does."""
        self._reply(command_id, "refused", "a sign has nothing to re-arm")

    def identify(self) -> None:
        """See commands.Does."""
        self._identifying_until_ms = self._now_ms() + IDENTIFY_MS
        self._show()

    def _heard(self, kind: str, fields: dict[str, Any]) -> None:
        if kind == "places":
            if not self._places.take(self._now_ms(), fields):
                log.warning("places_of_another_zone", zone=fields["zone"])
            self._show()

    def _tell(self) -> None:
        status = {"ms": self._now_ms(), "lane": "", "waiting": self._journal.waiting, "emergency": False}
        self._link.publish("status", {**self.identity(), **status})

    def _settled(self) -> bool:
        return True

    async def _look(self) -> None:
        """What was told grows old by itself."""
        while True:
            self._show()
            await asyncio.sleep(LOOK_S)

    def _show(self) -> None:
        now_ms = self._now_ms()
        text = IDENTIFY if now_ms < self._identifying_until_ms else self._places.text(now_ms)
        if text != self._shown:
            self._shown = text
            log.info("sign_shows", text=text)
            self._display.show(self._title, text)
