"""What a till's display and paper say: every code has its sentence, in both languages, and fits the lines."""

import re
from pathlib import Path

import pytest

from einlass_edge import till_texts
from einlass_edge.config_till import DESK, DISPLAY, FOOT
from einlass_edge.drivers import escpos
from einlass_edge.drivers.customer_display import COLUMNS
from einlass_edge.drivers.escpos import Qr, Slip, Text
from einlass_edge.till_screen import money
from einlass_edge.till_slips import slip_parts

ROOT = Path(__file__).parents[2]
LONGEST = {
    "due": "1234,50 EUR", "paid": "123,50 EUR", "paid_short": "123,50",
    "until": "31.12. 23:59", "subject": "WWW-WW 1234E", "text": "W" * 20,
    "products": "1=Erwachsene", "until_line": "", "code": "limit_partner",
}  # fmt: skip
TABLES = (till_texts.IDLE, till_texts.STANDING, till_texts.MESSAGES)


def test_every_sentence_is_there_in_both_languages_and_fits() -> None:
    for table in TABLES:
        for code, said in table.items():
            assert set(said) == set(till_texts.LANGUAGES), code
            for lines in said.values():
                for line in lines:
                    shown = line.format(**LONGEST)
                    assert len(escpos.printable(shown, "cp858")) <= COLUMNS, shown
    assert set(till_texts.IDLE) == {FOOT, DISPLAY, DESK}


def test_every_code_that_the_core_shows_or_a_voucher_gets_has_its_sentence() -> None:
    core = (ROOT / "firmware/lib/einlass_core/till.py").read_text()
    shown = set(re.findall(r'Show\("(\w+)"', core))
    vouchers = (ROOT / "docs/vouchers.md").read_text()
    table = vouchers[vouchers.index("| `code` | Meaning |") : vouchers.index("The till works out")]
    told = {code for row in table.splitlines() for code in re.findall(r"`(\w+)`", row.split("|")[1] if row else "")}
    assert {"payment_due", "error", "card_out"} <= shown
    assert {"redeemed", "limit_day", "too_fast"} <= told
    # The question stands until it is answered; all others are messages.
    assert (shown | told) - {"code", "card_partly"} <= set(till_texts.MESSAGES)


SLIP = {"slip": "inc.1-7", "what": "exit", "cents": 250, "until": 1_000}
SOLD = {
    "slip": "inc.1-7", "language": "de", "coins": 200, "by_card": 50, "at_ms": 900, "receipt": ["** girocard **"],
    "values": {"entered_ms": 100, "saved_cents": 50, "lines": [["Stunde", "Hour", 300], ["Gutschein", "Voucher", -50]]},
}  # fmt: skip


def texts(parts: Slip) -> str:
    return "\n".join(part.text for part in parts if isinstance(part, Text))


def when(unix_ms: int) -> str:
    return f"<{unix_ms}>"


def test_a_receipt_says_what_was_paid_for_in_the_customer_s_language() -> None:
    german = texts(slip_parts(SLIP, SOLD, "Parkplatz", when, again=False))
    for part in ("Quittung", "Einfahrt", "<100>", "Stunde", "-0,50 EUR", "Summe", "2,50 EUR", "Münzen", "girocard"):
        assert part in german
    assert "Ausfahrt bis <1000>" in german
    english = texts(slip_parts(SLIP, {**SOLD, "language": "en"}, "Parkplatz", when, again=True))
    for part in ("Receipt", "Hour", "2.50 EUR", "Leave by <1000>", "Second print"):
        assert part in english


def test_money_owed_has_a_code_that_names_the_slip_and_the_cents() -> None:
    owed = {"slip": "inc.1-7-o", "what": "", "cents": 0, "until": 0, "owed": 130}
    parts = slip_parts(owed, SOLD, "Parkplatz", when, again=False)
    assert [part.text for part in parts if isinstance(part, Qr)] == ["EINLASS-OWED:inc.1-7-o:130"]
    assert "1,30 EUR" in texts(parts)
    assert "Quittung" not in texts(parts)


@pytest.mark.parametrize("values", [{"lines": "no"}, {"lines": [[1, 2, 3], ["a"], None]}, {"entered_ms": "x"}, {}])
def test_what_the_controller_should_not_have_said_does_not_stop_a_slip(values: dict[str, object]) -> None:
    parts = slip_parts(SLIP, {**SOLD, "values": values}, "Parkplatz", when, again=False)
    assert "2,50 EUR" in texts(parts)
    escpos.encode(parts)


def test_another_sale_s_details_are_not_printed_on_a_slip() -> None:
    other = texts(slip_parts({**SLIP, "slip": "inc.1-71"}, SOLD, "Parkplatz", when, again=False))
    assert "Stunde" not in other
    assert "2,50 EUR" in other


def test_money_in_both_languages() -> None:
    assert (money(5, "de"), money(1205, "en")) == ("0,05 EUR", "12.05 EUR")
