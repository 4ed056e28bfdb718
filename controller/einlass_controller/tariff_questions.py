"""Questions about tariffs as JSON values, answered without a database: the same here and in a process of its own.

A question has `do` and `texts`, [{"text", "json"}], the versions of one tariff; its other keys are those of its
function below. An answer has "answer", or "problems" (what is wrong with a text), or "refused" (a question without
an answer).
"""

from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any

from einlass_controller.tariff_answers import bought_json, comparison_json, fee_json, problems_json
from einlass_controller.tariff_invented import DAYS, invented_csv
from einlass_controller.tariff_stays import Rows, too_many
from einlass_controller.tariffs import book_of, instant_of, tariff_of
from einlass_tariff.book import Book
from einlass_tariff.buy import buy
from einlass_tariff.compare import compare
from einlass_tariff.describe import describe
from einlass_tariff.fee import fee
from einlass_tariff.problems import StayError, TariffError
from einlass_tariff.result import MINUTES_CARD, Card, Payment, Stay

# Rows of a file that a page or the API compares; the command line takes more (tariff_stays.ROWS_MAX).
STAYS_MAX = 200_000
SKIPPED_SHOWN_MAX = 200
LINES_SHOWN_MAX = 1_000


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """What a question comes to. Never raises for what somebody wrote."""
    try:
        return {"answer": _DO[question["do"]](question)}
    except TariffError as error:
        return {"problems": problems_json(error)}
    except StayError as error:
        return {"refused": {"de": error.words[0], "en": error.words[1]}}


def book_of_texts(texts: Sequence[dict[str, Any]]) -> Book:
    """The versions in these texts. TariffError, StayError."""
    return book_of([tariff_of(one["text"], bool(one.get("json"))) for one in texts])


def about(book: Book) -> dict[str, Any]:
    """What a tariff is called, has, and says in words: its newest version."""
    last = book.versions[-1]
    return {
        "tariff": last.name,
        "title": last.title,
        "valid_from": last.valid_from.isoformat(),
        "digest": last.digest,
        "time_zone": last.time_zone,
        "passes": sorted(last.passes),
        "tickets": sorted(last.tickets),
        "voucher_minutes": last.voucher.seconds // 60,
        "lost_ticket": last.lost_ticket_cents is not None,
        "words": {language: describe(last, language) for language in ("de", "en")},
    }


def _check(question: dict[str, Any]) -> dict[str, Any]:
    return about(book_of_texts(question["texts"]))


def _try(question: dict[str, Any]) -> dict[str, Any]:
    return fee_of(book_of_texts(question["texts"]), question)


def _buy(question: dict[str, Any]) -> dict[str, Any]:
    return time_of(book_of_texts(question["texts"]), question)


def fee_of(book: Book, question: dict[str, Any]) -> dict[str, Any]:
    """from, to, vouchers, pass, ticket, paid_cents, paid_at, lost_ticket, public_code: what is due. StayError."""
    entry_s, exit_s = instant_of(question["from"], book.days), instant_of(question["to"], book.days)
    minutes = book.table(len(book.versions) - 1, "").tariff.voucher.seconds // 60
    cards = (Card(MINUTES_CARD, minutes),) * question.get("vouchers", 0)
    paid: tuple[Payment, ...] = ()
    if question.get("paid_cents") is not None:
        at = question.get("paid_at", "")
        paid = (Payment(question["paid_cents"], instant_of(at, book.days) if at else None),)
    spans = ((entry_s, exit_s),) if question.get("public_code") else ()
    is_lost = bool(question.get("lost_ticket"))
    names = question.get("pass", ""), question.get("ticket", "")
    made = fee_json(book, fee(book, Stay(entry_s, exit_s, cards, *names, is_lost, spans, paid)))
    return made | {"lines": _first_lines(made["lines"])}


def time_of(book: Book, question: dict[str, Any]) -> dict[str, Any]:
    """from, cents, pass, ticket: until when money lasts. StayError."""
    entry_s = instant_of(question["from"], book.days)
    names = {"pass_name": question.get("pass", ""), "ticket": question.get("ticket", "")}
    made = bought_json(book, buy(book, Stay(entry_s, entry_s, **names), question["cents"]))
    return made | {"lines": _first_lines(made["lines"])}


def _first_lines(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A stay of years has a line for every day: the last one shown says what all others come to."""
    if len(lines) <= LINES_SHOWN_MAX:
        return lines
    shown, more = lines[: LINES_SHOWN_MAX - 1], lines[LINES_SHOWN_MAX - 1 :]
    words = {"de": f"und {len(more)} weitere Zeilen", "en": f"and {len(more)} more lines"}
    return [*shown, {"kind": "more", "cents": sum(line["cents"] for line in more), **words}]


def _compare(question: dict[str, Any]) -> dict[str, Any]:
    """texts: the old versions; new: the new one; stays: CSV; name: what the file is called.

    Or invented_seed instead of stays: four weeks of invented ones, from the first day of the new version on.
    """
    old = book_of_texts(question["texts"])
    try:
        new = book_of_texts(question["new"])
    except TariffError as error:
        return {"new_problems": problems_json(error)}
    seed, stays = question.get("invented_seed"), question.get("stays") or ""
    invented: dict[str, Any] = {}
    if seed is not None:
        first = new.versions[-1].valid_from.date()
        stays = invented_csv(seed, first)
        invented = {"invented": {"seed": seed, "from": first.isoformat(), "days": DAYS}}
    if stays.count("\n") > STAYS_MAX + 1:  # said at once, and not after the work
        raise too_many(question.get("name") or "stays", STAYS_MAX)
    rows = Rows(StringIO(stays, newline=""), old, question.get("name") or "stays", STAYS_MAX)
    found = compare(old, new, rows)
    found.skipped = sorted(found.skipped + rows.bad)
    made = comparison_json(old, found)
    return made | invented | {"skipped": made["skipped"][:SKIPPED_SHOWN_MAX], "skipped_rows": len(made["skipped"])}


_DO: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "check": _check,
    "try": _try,
    "buy": _buy,
    "compare": _compare,
}
