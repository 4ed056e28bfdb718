"""A sign never shows a number that it does not know."""

import pytest

from einlass_edge.sign import STALE_MS, UNKNOWN, Places

TOLD = {"zone": "parkplatz", "free": 7, "open": True, "about": False}


@pytest.mark.parametrize(
    ("change", "german", "english"),
    [
        ({}, "Frei 7", "7 free"),
        ({"about": True}, "Frei ca. 7", "About 7 free"),
        ({"free": 0}, "Besetzt", "Full"),
        ({"free": 0, "about": True}, "Besetzt", "Full"),
        ({"open": False}, "Geschlossen", "Closed"),
        ({"free": 100_000, "about": True}, "Frei ca. 100000", "About 100000 free"),
    ],
)
def test_what_it_says(change: dict[str, object], german: str, english: str) -> None:
    for language, text in (("de", german), ("en", english)):
        places = Places("parkplatz", language)
        assert places.take(0, {**TOLD, **change})
        assert places.text(0) == text
        assert len(text) <= 20, "it has to fit on the display"


def test_it_shows_nothing_that_it_does_not_know() -> None:
    places = Places("parkplatz", "de")
    assert places.text(0) == UNKNOWN
    assert not places.take(0, {**TOLD, "zone": "becken"})
    assert places.text(0) == UNKNOWN
    assert places.take(1000, dict(TOLD))
    assert places.text(1000 + STALE_MS - 1) == "Frei 7"
    assert places.text(1000 + STALE_MS) == UNKNOWN
    assert places.take(200_000, dict(TOLD))
    assert places.text(200_000) == "Frei 7"
