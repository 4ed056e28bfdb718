"""What a lane's display of two lines with 20 characters says, in German and English."""

from collections.abc import Mapping
from typing import Any

from einlass_core.events import EXIT

_Both = tuple[tuple[str, str], tuple[str, str]]

_READY: Mapping[str, _Both] = {
    "ticket": (("Willkommen", "Bitte Taste drücken"), ("Welcome", "Press the button")),
    "entry": (("Willkommen", "Bitte Code zeigen"), ("Welcome", "Show your code")),
    EXIT: (("Ausfahrt", "Bitte Ticket zeigen"), ("Exit", "Show your ticket")),
}
_WORDS: Mapping[str, _Both] = {
    "checking": (("Einen Moment", ""), ("One moment", "")),
    "ticket_printing": (("Ihr Ticket", "wird gedruckt"), ("Your ticket", "is printed")),
    "ticket_take": (("Bitte Ticket", "entnehmen"), ("Please take", "your ticket")),
    "ticket_pull_out": (("Altes Ticket", "bitte herausziehen"), ("Please pull out", "the old ticket")),
    "ticket_none": (("Kein Ticket", "Bitte Personal rufen"), ("No tickets", "Please call staff")),
    "ok": (("Bitte einfahren", ""), ("Please drive in", "")),
    "ok_reentry": (("Bitte einfahren", ""), ("Please drive in", "")),
    "ok_exit": (("Gute Fahrt!", ""), ("Goodbye", "")),
    "payment_due": (("Bitte bezahlen", ""), ("Please pay first", "")),
    "overstay_due": (("Bitte nachzahlen", ""), ("Please pay the rest", "")),
    "zone_full": (("Besetzt", "Bitte warten"), ("Full", "Please wait")),
    "lease_exhausted": (("Besetzt", "Bitte warten"), ("Full", "Please wait")),
    "closed": (("Geschlossen", ""), ("Closed", "")),
    "already_inside": (("Ticket ist schon", "in Gebrauch"), ("This ticket is", "in use already")),
    "invalid": (("Ticket unbekannt", "Bitte Personal rufen"), ("Ticket not known", "Please call staff")),
    "expired": (("Ticket abgelaufen", "Bitte Personal rufen"), ("Ticket expired", "Please call staff")),
    "emergency": (("NOTFALL", "Ausfahrt frei"), ("EMERGENCY", "Exit is free")),
    "error": (("Außer Betrieb", "Bitte Personal rufen"), ("Out of service", "Please call staff")),
}
_STAFF: _Both = (("Bitte Personal", "rufen"), ("Please call", "staff"))
_MONEY = ("payment_due", "overstay_due")


def lines(code: str, values: Mapping[str, Any], place: str, language: str) -> tuple[str, str]:
    """Both lines for a decision or state. place: "ticket" (an entry with a button), "entry" or "exit"."""
    both = _READY[place] if code == "ready" else _WORDS.get(code, _STAFF)
    upper, lower = both[0 if language == "de" else 1]
    cents = values.get("amount_cents")
    if code in _MONEY and type(cents) is int:
        lower = money(cents, language)
    return upper, lower


def money(cents: int, language: str) -> str:
    """An amount as it is written there: 4,50 € or 4.50 €."""
    return f"{cents // 100}{',' if language == 'de' else '.'}{cents % 100:02d} €"
