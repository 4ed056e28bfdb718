from dataclasses import replace

import pytest

from einlass_controller.domain.ledger import GENESIS, Entry, append, verify


def chain(n: int) -> list[Entry]:
    entries: list[Entry] = []
    for number in range(1, n + 1):
        before = entries[-1].hash if entries else GENESIS
        entries.append(append(before, number, 1000 + number, "passed", {"n": number, "lane": "Süd"}))
    return entries


def test_a_whole_ledger_holds() -> None:
    entries = chain(20)
    assert verify(entries) == (20, entries[-1].hash, None)
    assert verify([]) == (0, GENESIS, None)


@pytest.mark.parametrize("place", [0, 7, 19])
def test_every_changed_field_shows(place: int) -> None:
    entries = chain(20)
    entry = entries[place]
    flipped = entry.body.replace('"n"', '"m"')
    for forged in (
        replace(entry, body=flipped),
        replace(entry, at_ms=entry.at_ms + 1),
        replace(entry, kind="forced"),
        replace(entry, hash=entry.hash[:-1] + ("0" if entry.hash[-1] != "0" else "1")),
    ):
        _, _, broken = verify([*entries[:place], forged, *entries[place + 1 :]])
        assert broken is not None
        assert broken.number == place + 1


def test_a_missing_entry_and_a_swapped_pair_show() -> None:
    entries = chain(5)
    for tampered in ([*entries[:2], *entries[3:]], [entries[1], entries[0], *entries[2:]], entries[1:]):
        assert verify(tampered)[2] is not None
