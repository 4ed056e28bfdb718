"""A partner's account and the statistics as CSV, and the account as PDF."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfgen.canvas import Canvas

from einlass_controller.cells import guarded
from einlass_controller.domain.decision import Text
from einlass_controller.domain.rules import WEEKDAYS
from einlass_controller.domain.voucher_account import LotAccount, Statistics
from einlass_controller.domain.vouchers import PREPAID, Partner
from einlass_controller.paper import BOLD, POINTS_PER_MM, REGULAR, pick, register_fonts
from einlass_controller.voucher_paper import worth

COLUMNS = (
    *(
        "partner",
        "month",
        "lot",
        "name",
        "kind",
        "value",
        "terms",
        "price_cents",
        "given",
        "used",
        "settled",
        "minutes",
    ),
    *("saved_cents", "unreported", "unused", "expired", "void", "returned", "due_cents", "owed_cents"),
)
MARGIN_PT = 18 * POINTS_PER_MM
LINE_PT, HEAD_PT, BODY_PT = 13.0, 14.0, 7.5
# Widths in millimetres of the columns of the page.
_PAGE = (
    (Text("Los", "Lot"), "lot", 48),
    (Text("gegeben", "given"), "given", 15),
    (Text("eingelöst", "used"), "used", 15),
    (Text("Minuten", "minutes"), "minutes", 15),
    (Text("gespart", "saved"), "saved", 19),
    (Text("offen", "unused"), "unused", 14),
    (Text("abgelaufen", "expired"), "expired", 15),
    (Text("ungültig", "void"), "void", 15),
    (Text("zu zahlen", "due"), "due", 18),
)
WORDS = {
    "title": Text("Abrechnung Parkgutscheine {month}", "Account of parking vouchers {month}"),
    "as_of": Text("Stand {at}", "as of {at}"),
    "due": Text("Zu zahlen: {euros}", "To be paid: {euros}"),
    "owed": Text("Vorausbezahlt und noch nicht eingelöst: {euros}", "Paid before and not used yet: {euros}"),
    "unreported": Text(
        "Bei {n} eingelösten Gutscheinen hat der Automat nicht gemeldet, was sie gespart haben.",
        "For {n} used vouchers the machine did not report what they took off.",
    ),
    "nothing": Text("In diesem Monat gab es keine Gutscheine.", "There were no vouchers in this month."),
}


@dataclass(frozen=True, slots=True)
class Account:
    """A partner's month."""

    partner: Partner
    month: str
    lines: Sequence[LotAccount]
    site: str
    at_ms: int
    instant: Callable[[int], str]
    language: str = "de"


def account_csv(account: Account) -> str:
    """One line a lot; the header first."""
    rows = []
    for line in account.lines:
        lot = line.lot
        rows.append(
            (
                *(account.partner.id, account.month, lot.id, guarded(lot.name), lot.kind, lot.value, lot.terms),
                *(lot.price_cents, line.given, line.used, line.settled, line.minutes, line.saved_cents),
                *(line.unreported, line.unused, line.expired, line.void, line.returned, line.due_cents),
                line.owed_cents,
            )
        )
    return _csv(COLUMNS, rows)


def statistics_csv(found: Statistics) -> str:
    """Figures as (group, key, count), one a line."""
    rows: list[tuple[object, ...]] = [
        ("total", "used", found.used),
        ("total", "minutes", found.minutes),
        ("total", "saved_cents", found.saved_cents),
        ("total", "given", found.given),
        ("total", "used_of_given", found.used_of_given),
        ("delay_minutes", "median", "" if found.delay_median_minutes is None else found.delay_median_minutes),
        ("delay_minutes", "nine_of_ten", "" if found.delay_most_minutes is None else found.delay_most_minutes),
    ]
    rows += [("area", guarded(area), count) for area, count in sorted(found.by_area.items())]
    rows += [("hour", hour, found.by_hour[hour]) for hour in range(24)]
    rows += [("weekday", name, found.by_weekday[number]) for number, name in enumerate(WEEKDAYS)]
    rows += [("lot", lot, count) for lot, count in sorted(found.by_lot.items())]
    return _csv(("group", "key", "count"), rows)


def account_pdf(account: Account) -> bytes:
    """One page A4 or more: what was used, what is due."""
    register_fonts()
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1)
    title = pick(WORDS["title"], account.language).format(month=account.month)
    canvas.setTitle(f"{title} {account.partner.name}")
    canvas.setAuthor(account.site)
    y = _head(canvas, account)
    for line in account.lines:
        if y < MARGIN_PT + 6 * LINE_PT:
            canvas.showPage()
            y = _head(canvas, account)
        y = _row(canvas, _cells(line, account.language), y)
    y -= LINE_PT
    for text in _foot(account):
        canvas.setFont(REGULAR, BODY_PT + 1)
        canvas.drawString(MARGIN_PT, y, text)
        y -= LINE_PT
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def euros(cents: int) -> str:
    """An amount as it stands on a German bill."""
    return f"{cents // 100:,}".replace(",", ".") + f",{cents % 100:02} €"


def _foot(account: Account) -> list[str]:
    lines = account.lines
    due, owed = sum(line.due_cents for line in lines), sum(line.owed_cents for line in lines)
    found = [pick(WORDS["due"], account.language).format(euros=euros(due))]
    if any(line.lot.terms == PREPAID for line in lines):
        found.append(pick(WORDS["owed"], account.language).format(euros=euros(owed)))
    unreported = sum(line.unreported for line in lines)
    if unreported:
        found.append(pick(WORDS["unreported"], account.language).format(n=unreported))
    return found if lines else [pick(WORDS["nothing"], account.language)]


def _head(canvas: Canvas, account: Account) -> float:
    y = A4[1] - MARGIN_PT
    canvas.setFont(REGULAR, BODY_PT + 1)
    canvas.drawString(MARGIN_PT, y, account.site)
    canvas.drawRightString(
        A4[0] - MARGIN_PT, y, pick(WORDS["as_of"], account.language).format(at=account.instant(account.at_ms))
    )
    y -= 2 * LINE_PT
    canvas.setFont(BOLD, HEAD_PT)
    canvas.drawString(MARGIN_PT, y, pick(WORDS["title"], account.language).format(month=account.month))
    y -= 1.5 * LINE_PT
    canvas.setFont(BOLD, BODY_PT + 2)
    canvas.drawString(MARGIN_PT, y, account.partner.name)
    y -= 2 * LINE_PT
    y = _row(canvas, [(pick(title, account.language), key == "lot") for title, key, _ in _PAGE], y, BOLD)
    canvas.setLineWidth(0.5)
    canvas.line(MARGIN_PT, y + LINE_PT * 0.7, A4[0] - MARGIN_PT, y + LINE_PT * 0.7)
    return y


def _cells(line: LotAccount, language: str) -> list[tuple[str, bool]]:
    lot = line.lot
    first = f"{lot.id}: {lot.name or worth(lot.kind, lot.value, language)}"
    figures = (line.given, line.used, line.minutes, euros(line.saved_cents), line.unused, line.expired, line.void)
    return [(first, True), *((str(figure), False) for figure in figures), (euros(line.due_cents), False)]


def _row(canvas: Canvas, cells: Iterable[tuple[str, bool]], y: float, font: str = REGULAR) -> float:
    x = MARGIN_PT
    for (text, is_left), (_, _, width_mm) in zip(cells, _PAGE, strict=True):
        width, size = width_mm * POINTS_PER_MM, BODY_PT
        long = pdfmetrics.stringWidth(text, font, size)
        size = min(size, size * (width - 2) / long) if long else size
        canvas.setFont(font, size)
        if is_left:
            canvas.drawString(x, y, text)
        else:
            canvas.drawRightString(x + width, y, text)
        x += width
    return y - LINE_PT


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue()
