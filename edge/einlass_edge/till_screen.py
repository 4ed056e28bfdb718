"""What a till's customer display shows: where the machine stands, and for a moment what has just happened."""

import asyncio
import datetime
import zoneinfo
from typing import Any, Protocol

from einlass_core.till import BACK, CARD, DOUBT, IDLE, OUT, PAYING, PRICING, Till
from einlass_core.till_words import DISPLAY
from einlass_edge.till_texts import IDLE as IDLE_LINES
from einlass_edge.till_texts import LANGUAGES, LEAVE_BY, MESSAGES, PARK_UNTIL, STANDING, UNKNOWN, Lines

LANGUAGE_SHOWS = 5  # so many times show_ms a language outlives its customer

_STANDING = {PRICING: "pricing", CARD: "card", DOUBT: "doubt", BACK: "back", OUT: "out_of_service"}


class Lit(Protocol):
    """A display of two lines."""

    def show(self, upper: str, lower: str = "") -> None:
        """These lines from now on."""


def money(cents: int, language: str) -> str:
    """2,00 EUR or 2.00 EUR."""
    mark = "," if language == "de" else "."
    return f"{cents // 100}{mark}{cents % 100:02d} EUR"


class Screen:
    """flash() shows a message for show_ms; stand() what the machine stands at; both in the customer's language."""

    def __init__(self, lit: Lit, kind: str, language: str, timezone: str, products: str, show_ms: int) -> None:
        self.language = language
        self._own_language = language
        self._lit = lit
        self._kind = kind
        self._zone = zoneinfo.ZoneInfo(timezone)
        self._products = products
        self._show_s = show_ms / 1000
        self._language_s = LANGUAGE_SHOWS * self._show_s
        self._standing: tuple[str, dict[str, Any]] = (OUT, {})
        self._timer: asyncio.TimerHandle | None = None
        self._typed = ""
        self._forgetting: asyncio.TimerHandle | None = None

    def switch_language(self) -> None:
        """The next one, until the customer is gone."""
        self.language = LANGUAGES[(LANGUAGES.index(self.language) + 1) % len(LANGUAGES)]
        self._end_flash()
        self._show_standing()
        self._forget_later()

    def typing(self, text: str) -> None:
        """What has been typed so far; empty: nothing."""
        self._typed = text
        self._end_flash()
        self._show_standing()

    def stand(self, till: Till, subject: str) -> None:
        """Where the machine stands now."""
        standing = (
            till.state,
            {
                "due": till.due,
                "paid": till.account.credit,
                "until": till.until,
                "what": till.what,
                "subject": subject,
                "partly": till.asks_partly,
            },
        )
        if till.state == IDLE and self._standing[0] != IDLE:
            self._forget_later()
        self._standing = standing
        if self._timer is None:
            self._show_standing()

    def flash(self, code: str, values: dict[str, Any] | None = None) -> None:
        """Show a message for a moment, then again where the machine stands."""
        values = values or {}
        lines = MESSAGES.get(code, {}).get(self.language) or UNKNOWN[self.language]
        until = values.get("until") or 0
        by = PARK_UNTIL if values.get("what") == DISPLAY else LEAVE_BY
        line = by[self.language].format(until=self.clock(until)) if until else ""
        self._put(lines, {"code": code, "until_line": line})
        self._end_flash()
        self._timer = asyncio.get_running_loop().call_later(self._show_s, self._over)

    def clock(self, unix_ms: int) -> str:
        """The time of day here, with the date when it is another day; empty for 0."""
        if not unix_ms:
            return ""
        at = datetime.datetime.fromtimestamp(unix_ms / 1000, self._zone)
        today = datetime.datetime.now(self._zone).date()
        return at.strftime("%H:%M" if at.date() == today else "%d.%m. %H:%M")

    def date_and_clock(self, unix_ms: int) -> str:
        """Date and time here, for paper."""
        return datetime.datetime.fromtimestamp(unix_ms / 1000, self._zone).strftime("%d.%m.%Y %H:%M")

    def _over(self) -> None:
        self._timer = None
        self._show_standing()

    def _forget_later(self) -> None:
        """The next customer begins in the machine's own language."""
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._forgetting = asyncio.get_running_loop().call_later(self._language_s, self._forget)

    def _forget(self) -> None:
        self._forgetting = None
        if self._standing[0] == IDLE:
            self.language = self._own_language
            if self._timer is None:
                self._show_standing()

    def _end_flash(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _show_standing(self) -> None:
        state, known = self._standing
        filled = {
            **known,
            "due": money(known.get("due", 0), self.language),
            "paid": money(known.get("paid", 0), self.language),
            "paid_short": money(known.get("paid", 0), self.language).removesuffix(" EUR"),
            "until": self.clock(known.get("until", 0)) or "--:--",
            "text": self._typed,
            "products": self._products,
        }
        if self._typed and state in (IDLE, PAYING):
            lines = STANDING["typing"][self.language]
        elif state == IDLE:
            lines = IDLE_LINES[self._kind][self.language]
        elif state == PAYING and known["partly"]:
            lines = STANDING["partly"][self.language]
        elif state == PAYING:
            lines = STANDING["time" if known["what"] == DISPLAY else "to_pay"][self.language]
        else:
            lines = STANDING[_STANDING[state]][self.language]
            filled["due"] = money(max(0, known.get("due", 0) - known.get("paid", 0)), self.language)
        self._put(lines, filled)

    def _put(self, lines: Lines, values: dict[str, Any]) -> None:
        upper, lower = (line.format(**values) for line in lines)
        self._lit.show(upper, lower)
