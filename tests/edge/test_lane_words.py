"""What a car lane's display says fits on it, in both languages, for every decision."""

import pytest

from einlass_core.signals import all_codes
from einlass_edge import lane_words
from einlass_edge.drivers.customer_display import COLUMNS
from einlass_edge.ticket_column import NO_TICKETS, PRINTING, PULL_OUT, TAKE


@pytest.mark.parametrize("language", ["de", "en"])
@pytest.mark.parametrize("place", ["ticket", "entry", "exit"])
def test_every_code_has_lines_that_fit(language: str, place: str) -> None:
    for code in (*all_codes(), NO_TICKETS, PRINTING, PULL_OUT, TAKE, "of a newer controller"):
        upper, lower = lane_words.lines(code, {}, place, language)
        assert upper
        assert max(len(upper), len(lower)) <= COLUMNS


def test_what_is_due_is_written_as_it_is_there() -> None:
    assert lane_words.lines("payment_due", {"amount_cents": 1205}, "exit", "de") == ("Bitte bezahlen", "12,05 €")
    assert lane_words.lines("payment_due", {"amount_cents": 5}, "exit", "en")[1] == "0.05 €"
    # What a controller sends is data: no amount, no number.
    assert lane_words.lines("payment_due", {"amount_cents": "viel"}, "exit", "de")[1] == ""
    assert lane_words.lines("ok_exit", {"amount_cents": 100}, "exit", "de")[1] == ""
