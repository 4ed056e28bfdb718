"""What stands on a till's paper: receipt, parking ticket, pool ticket, new ticket for a lost one, paper for money owed.

German or English, as the customer read the display. A QR code stands where a machine or staff will read it: on tickets
that open something, and on the paper for money owed.
"""

from collections.abc import Callable
from typing import Any

from einlass_core.codes import in_groups
from einlass_core.till_words import DISPLAY, LOST, POOL
from einlass_edge.drivers.escpos import CENTRE, COLUMNS, Feed, Part, Qr, Slip, Text
from einlass_edge.till_screen import money

OWED_PREFIX = "EINLASS-OWED:"
LINES_MAX = 40
# A printer that begins a new line by itself when one is full would leave an empty one after it.
ROW_COLUMNS = COLUMNS - 1
RECEIPT_LINES_MAX = 60

_WORDS = {
    "de": {
        "receipt": "Quittung", "parking": "Parkschein", "lost": "Ersatz für verlorenen Parkschein", "number": "Nr.",
        "entered": "Einfahrt", "paid_at": "Bezahlt", "total": "Summe", "coins": "Münzen", "card": "Karte",
        "saved": "Gutscheine", "leave": "Ausfahrt bis", "until": "Parken bis", "plate": "Kennzeichen",
        "owed": "Guthaben", "owed_text": "Der Automat konnte diesen Betrag nicht auszahlen. Sie erhalten ihn gegen "
        "diesen Beleg beim Personal.", "again": "Zweitausdruck", "visible": "Gut sichtbar hinter die Scheibe legen",
        "show": "Vor den Leser halten", "alone": "Ohne Verbindung berechnet. Bitte Beleg aufheben.",
    },
    "en": {
        "receipt": "Receipt", "parking": "Parking ticket", "lost": "In place of a lost ticket", "number": "No.",
        "entered": "Entered", "paid_at": "Paid", "total": "Total", "coins": "Coins", "card": "Card",
        "saved": "Vouchers", "leave": "Leave by", "until": "Park until", "plate": "Number plate",
        "owed": "We owe you", "owed_text": "The machine could not pay out this amount. Staff will pay it against this "
        "slip.", "again": "Second print", "visible": "Place it visibly behind the windscreen",
        "show": "Hold it to the reader", "alone": "Priced without a connection. Please keep this slip.",
    },
}  # fmt: skip


def slip_parts(slip: dict[str, Any], sold: dict[str, Any], head: str, when: Callable[[int], str], again: bool) -> Slip:
    """slip: the till's own values (slip, what, cents, until, owed). sold: what was kept beside it when it was paid.

    when: Unix ms as date and time. again: somebody may hold this slip already.
    `sold` of another slip, or an empty one: only what the till knows is printed.
    """
    name = slip["slip"]
    while name.endswith("-o"):  # The core's mark of a paper for money owed.
        name = name[:-2]
    if sold.get("slip") != name:
        sold = {}
    language = sold.get("language", "de")
    words = _WORDS[language]
    parts: list[Part] = [Text(head, bold=True, align=CENTRE)]
    if again:
        parts.append(Text(words["again"], align=CENTRE))
    what = slip["what"]
    if what:
        parts += _sold(slip, sold, words, language, when)
    if slip.get("owed"):
        parts += [Feed(), Text(f"{words['owed']} {money(slip['owed'], language)}", big=True, align=CENTRE)]
        parts += [Text(words["owed_text"]), Qr(f"{OWED_PREFIX}{slip['slip']}:{slip['owed']}")]
    parts.append(Text(f"{words['number']} {slip['slip']}", align=CENTRE))
    return tuple(parts)


def _sold(
    slip: dict[str, Any], sold: dict[str, Any], words: dict[str, str], language: str, when: Callable[[int], str]
) -> list[Part]:
    what = slip["what"]
    title = {DISPLAY: words["parking"], LOST: words["lost"], POOL: sold.get("name", "")}.get(what, words["receipt"])
    parts: list[Part] = [Text(title, big=len(title) * 2 <= COLUMNS, align=CENTRE), Feed()]
    until = slip["until"]
    if what == DISPLAY:
        if sold.get("subject"):
            parts.append(Text(f"{words['plate']} {sold['subject']}", bold=True, align=CENTRE))
        parts += [Text(words["until"], align=CENTRE), Text(when(until), big=True, align=CENTRE)]
        parts += [Text(words["visible"], align=CENTRE), Feed()]
    elif what in (POOL, LOST) and sold.get("code"):
        parts += [Qr(sold["code"]), Text(in_groups(sold["code"]), align=CENTRE), Text(words["show"], align=CENTRE)]
        parts.append(Feed())
    values = sold.get("values", {})
    if _count(values.get("entered_ms")):
        parts.append(_row(words["entered"], when(values["entered_ms"])))
    if sold.get("at_ms"):
        parts.append(_row(words["paid_at"], when(sold["at_ms"])))
    parts += _lines(values.get("lines"), language)
    if _count(values.get("saved_cents")):
        parts.append(_row(words["saved"], "-" + money(values["saved_cents"], language)))
    parts.append(_row(words["total"], money(slip["cents"], language), bold=True))
    for name, cents in (("coins", sold.get("coins", 0)), ("card", sold.get("by_card", 0))):
        if cents:
            parts.append(_row(words[name], money(cents, language)))
    if until and what != DISPLAY:
        parts += [Feed(), Text(f"{words['leave']} {when(until)}", bold=True, align=CENTRE)]
    if values.get("alone") is True:
        parts += [Feed(), Text(words["alone"], align=CENTRE)]
    parts += [Text(line) for line in sold.get("receipt", [])[:RECEIPT_LINES_MAX]]
    return parts


def _lines(told: Any, language: str) -> list[Part]:
    """The fee line by line, as the controller explained it; what is no such line is left out."""
    parts: list[Part] = []
    for line in told[:LINES_MAX] if isinstance(told, list) else []:
        match line:
            case [str(german), str(english), int(cents)]:
                sign = "-" if cents < 0 else ""
                parts.append(_row(german if language == "de" else english, sign + money(abs(cents), language)))
    return parts


def _row(left: str, right: str, bold: bool = False) -> Text:
    """Text at both margins; a left one that is too long goes on in the next line."""
    room = ROW_COLUMNS - len(right) - 1
    if len(left) <= room:
        return Text(left.ljust(room) + " " + right, bold=bold)
    return Text(f"{left}\n{right.rjust(ROW_COLUMNS)}", bold=bold)


def _count(value: Any) -> bool:
    return type(value) is int and value > 0
