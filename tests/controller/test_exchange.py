"""Tickets from and to CSV: all or nothing, bad lines named, no formulas, and lanes decide meanwhile."""

import asyncio
import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from einlass_controller import cells, cli, exchange, importing
from einlass_controller.api.app import make_app
from einlass_controller.domain.catalogue import Product, read_catalogue
from einlass_controller.domain.snapshot import TICKET_DERIVED
from einlass_controller.domain.tickets import Ticket
from einlass_controller.engine import Engine, StoreError
from einlass_controller.live import load
from einlass_controller.orders import BeginImport, ImportTickets
from einlass_controller.runtime import open_controller
from einlass_controller.store.reading import ledger_entries, one_moment
from einlass_controller.store.replaying import compare
from einlass_controller.writer import Writer
from einlass_core import codes

NOW_MS = 1_790_000_000_000


PRODUCTS = read_catalogue(
    {
        "product": [
            {"id": "single", "name": "Einzel", "entries": 1},
            {"id": "family", "name": "Familie", "entries": 1, "persons": 4},
            {"id": "ten", "name": "Zehner", "entries": 10, "group": True},
            {"id": "season", "name": "Saison", "times_per_day": 2},
            {
                "id": "slot",
                "name": "Vormittag",
                "entries": 1,
                "slots": {"minutes": 60, "early_minutes": 5, "late_minutes": 5, "quota": 9, "walk_in_percent": 0},
            },
        ]
    }
).products


def read(text: str | bytes, products: Mapping[str, Product] = PRODUCTS) -> exchange.Batch:
    raw = text.encode() if isinstance(text, str) else text
    return exchange.read(raw, "i1", ["bath", "sauna"], products, NOW_MS)


def faults(text: str) -> list[tuple[int, str]]:
    return [(fault.line, fault.reason) for fault in read(text).faults]


def code(n: int) -> str:
    return codes.opaque(5_000_000 + n)


def test_a_line_becomes_a_ticket() -> None:
    text = (
        "code;persons;zone;valid_from;valid_until;entries_max;status;reason\r\n"
        f'{code(1)};3;bath;2026-05-01T09:00:00+02:00;2026-05-01T20:00:00.500+02:00;10;unpaid;"first line;"\r\n'
        f"\r\nSCHOOL-4711;;;;;unlimited;;\r\n"
    )
    first, second = read("\ufeff" + text).tickets
    assert (first.persons, first.zone, first.status, first.reason) == (3, "bath", "unpaid", "first line;")
    assert (first.valid_from_ms, first.valid_until_ms, first.entries_max) == (1777618800000, 1777658400500, 10)
    assert first.digest == codes.digest(code(1))
    assert (second.persons, second.entries_max, second.issued_ms) == (1, None, NOW_MS)
    assert second.code_sha256 == hashlib.sha256(b"SCHOOL-4711").hexdigest()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",,,,", "no_code"),
        ("E1:WRONG,,,,", "code"),
        ("E2:ABC,,,,", "code"),
        ("ok,0,,,", "number"),
        ("ok,51,,,", "number"),
        ("ok,-1,,,", "number"),
        ("ok,\u0661,,,", "number"),
        ("ok,,garden,,", "zone"),
        ("ok,,,2026-05-01T09:00:00,", "instant"),
        ("ok,,,yesterday,", "instant"),
        ("ok,,,9999-12-31T23:59:59-23:59,0001-01-01T00:00:00+00:00", "window"),
        ("ok,,,2026-05-02T00:00:00Z,2026-05-01T00:00:00Z", "window"),
        ("ok,,,,,more", "no_csv"),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_reason(line: str, reason: str) -> None:
    text = f"code,persons,zone,valid_from,valid_until\n\n{line}\ngood,,,,\n"
    if line == ",,,,":
        text = text.replace(line, ",1,,,")
    assert faults(text) == [(3, reason)]


def test_a_file_that_is_none_is_named() -> None:
    assert faults("") == [(1, "header")]
    assert faults("code\n") == [(1, "empty")]
    assert faults("code,colour\nx,red") == [(1, "header")]
    assert faults("code,code\nx,y") == [(1, "header")]
    assert faults("code\na\nb\na\n") == [(4, "twice")]
    assert [fault.reason for fault in read(b"code\n\n\xff\n").faults] == ["no_utf8"]
    assert read(b"code\n\n\xff\n").faults[0].line == 3
    many = read("code\n" + "E1:X\n" * 500)
    assert (many.count, len(many.faults), many.rows) == (500, exchange.FAULTS_TOLD_MAX, [])


def test_every_fault_has_words_in_both_languages() -> None:
    for reason in cells.FAULTS:
        words = cells.Fault(1, reason, "this").words()
        assert words.de
        assert words.en


def test_every_product_has_its_own_entries_and_persons() -> None:
    text = "code,product,slot\n" + "".join(
        f"{code(n)},{name},\n" for n, name in enumerate(("family", "ten", "season", ""))
    )
    found = read(text + f"{code(9)},slot,2026-09-22T10:00:00+02:00\n").tickets
    assert [(item.product, item.persons, item.entries_max) for item in found] == [
        ("family", 4, 1),
        ("ten", 1, 10),
        ("season", 1, None),
        ("single", 1, 1),
        ("slot", 1, 1),
    ]
    assert found[-1].slot_ms == 1_790_064_000_000
    assert faults(f"code,product\n{code(1)},gold\n") == [(2, "product")]
    assert faults(f"code,product\n{code(1)},slot\n") == [(2, "slot")]
    assert faults(f"code,slot\n{code(1)},2026-09-22T10:00:00+02:00\n") == [(2, "no_slots")]
    assert faults(f"code,status_before\n{code(1)},unpaid\n") == [(2, "before")]
    nothing_single = {name: product for name, product in PRODUCTS.items() if name != "single"}
    assert [fault.reason for fault in read(f"code\n{code(1)}\n", nothing_single).faults] == ["product"]


def test_nothing_of_a_ticket_is_lost_on_the_way_out_and_in_again() -> None:
    ticket = Ticket(
        "0123456789AB", "a" * 16, "a" * 64, "slot", "sauna", 2, "blocked", NOW_MS, NOW_MS + 1, 3, 1, NOW_MS, NOW_MS + 2,
        NOW_MS + 3, "east", 7, "i1", "lost", "unpaid", "0123456789AC", "0123456789AD", NOW_MS + 4, NOW_MS + 5, 2,
        NOW_MS + 6, "0123456789AE", NOW_MS + 7, 150,
    )  # fmt: skip
    told = [item for item in fields(Ticket) if item.name not in TICKET_DERIVED]
    assert [item.name for item in told if getattr(ticket, item.name) == item.default] == [], "all have values"
    assert read("".join(exchange.write([ticket]))).tickets == [ticket]


@settings(max_examples=100, deadline=None)
@given(reason=st.text(st.sampled_from("=+-@'\";, abäß"), max_size=12).map(str.strip))
def test_what_goes_out_comes_in_again_and_is_no_formula(reason: str) -> None:
    ticket = Ticket(
        "0123456789AB", "a" * 16, "a" * 64, "single", "bath", 2, "blocked", NOW_MS, None, None, 3, NOW_MS,
        NOW_MS + 1, NOW_MS + 2, "east", import_id="i1", reason=reason,
    )  # fmt: skip
    text = "".join(exchange.write([ticket]))
    for row in csv.reader(io.StringIO(text)):
        assert not any(value.startswith(("=", "+", "-", "@", "\t", "\r")) for value in row)
    assert read(text).tickets == [ticket]


@pytest.fixture
def staff(bench: Any) -> Iterator[TestClient]:
    bench.close()
    with TestClient(make_app(open_controller(bench.settings))) as client:
        client.headers["Authorization"] = f"Bearer {bench.prepared.api_key}"
        yield client


def send(staff: TestClient, text: str) -> Any:
    return staff.post("/api/v1/tickets/import", content=text.encode(), headers={"Content-Type": "text/csv"})


def replayed(bench: Any) -> dict[str, Any]:
    with one_moment(bench.database) as connection:
        return compare(connection, ledger_entries(connection), load(connection))


def test_over_the_api_all_or_nothing(staff: TestClient, bench: Any) -> None:
    made = send(staff, "code\n" + "".join(f"{code(n)}\n" for n in range(600)))
    assert made.json()["tickets"] == 600
    decision = staff.post("/api/v1/redeem", json={"code": code(599), "nonce": "n1"}).json()
    assert decision["code"] == "ok"
    bad = send(staff, f"code,persons\n{code(700)},\n{code(1)},\nE1:X,\n{code(701)},99\n")
    assert bad.status_code == 422
    assert [fault["line"] for fault in bad.json()["faults"]] == [4, 5]
    assert "number" in bad.json()["faults"][1]["text_en"]
    known = send(staff, f"code\n{code(700)}\n{code(1)}\n")
    assert [fault["line"] for fault in known.json()["faults"]] == [3]
    assert staff.post("/api/v1/tickets/find", json={"code": code(700)}).status_code == 404
    assert staff.post("/api/v1/tickets/import", json={}).status_code == 415
    company = send(staff, f"code,company_of\n{code(800)},0123456789AB\n")
    assert [fault["text_en"] for fault in company.json()["faults"]] == ["company_of: there is no such ticket"]
    export = staff.get("/api/v1/tickets/export")
    assert export.headers["content-type"] == "text/csv; charset=utf-8"
    assert export.text.count("\n") == 601
    assert replayed(bench)["ok"]


def test_an_import_that_breaks_off_never_counts_and_is_taken_away(bench: Any) -> None:
    gate = bench.gate()
    found = read("code\n" + "".join(f"{code(n)}\n" for n in range(5)))
    bench.attempt(BeginImport("i1", 5, "test"))
    assert bench.attempt(ImportTickets("i1", tuple(found.tickets))).results == [True]
    assert gate.ask(code(1))["code"] == "invalid"
    bench.restart()  # the process died here
    assert gate.ask(code(1))["code"] == "invalid"
    assert replayed(bench)["ok"]
    left = importing.unfinished(bench.database)
    assert (list(left), len(left["i1"])) == (["i1"], 5)

    async def submit(message: Any) -> Any:
        return bench.attempt(message).results[0]

    asyncio.run(importing.drop(submit, "i1", left["i1"]))
    assert bench.rows("SELECT count(*) FROM ticket") == [(0,)]
    assert importing.unfinished(bench.database) == {}
    assert replayed(bench)["ok"]
    asyncio.run(importing.take(submit, "i2", found, "test"))
    assert gate.ask(code(1))["code"] == "ok"


def test_a_piece_that_cannot_be_stored_takes_the_others_with_it(bench: Any) -> None:
    found = read("code\n" + "".join(f"{code(n)}\n" for n in range(600)))
    bench.ticket(id=found.tickets[550].id)

    async def submit(message: Any) -> Any:
        return bench.attempt(message).results[0]

    with pytest.raises(StoreError, match="nothing was taken"):
        asyncio.run(importing.take(submit, "i1", found, "test"))
    assert bench.rows("SELECT count(*) FROM ticket") == [(1,)]
    assert replayed(bench)["ok"]


def test_scans_are_decided_between_the_pieces(bench: Any) -> None:
    gate = bench.gate()
    ours = bench.ticket()
    found = read("code\n" + "".join(f"{code(n)}\n" for n in range(1_500)))
    order: list[str] = []

    class Watched(Engine):
        def begin(self, batch: Any, now_ms: int) -> Any:
            order.extend(type(message).__name__ for message in batch)
            return super().begin(batch, now_ms)

    async def both() -> None:
        writer = Writer(Watched(bench.database))
        await writer.start()
        importer = asyncio.create_task(importing.take(writer.submit, "i1", found, "test"))
        while "ImportTickets" not in order:
            await asyncio.sleep(0)
        await writer.submit(gate.ask_message(ours))
        await importer
        await writer.stop()

    asyncio.run(both())
    pieces = [name for name in order if name in ("ImportTickets", "Ask")]
    assert pieces.count("ImportTickets") == 1_500 // importing.TICKETS_AT_ONCE
    assert pieces.index("Ask") < len(pieces) - 1, "it did not have to wait for the end"


def test_from_the_command_line(bench: Any, tmp_path: Path) -> None:
    bench.close()
    directory = str(bench.prepared.directory)
    file = tmp_path / "tickets.csv"
    file.write_text(f"code\n{code(1)}\nE1:X\n")
    bad = CliRunner().invoke(cli.ticket, ["import", str(file), "--dir", directory, "--lang", "en"])
    assert bad.exit_code == 2
    assert f"{file}:3: code is none" in bad.output
    file.write_text(f"code\n{code(1)}\n")
    good = CliRunner().invoke(cli.ticket, ["import", str(file), "--dir", directory])
    assert "1 tickets" in good.output, good.output
    out = tmp_path / "out.csv"
    assert CliRunner().invoke(cli.ticket, ["export", "--out", str(out), "--dir", directory]).exit_code == 0
    assert len(out.read_text().splitlines()) == 2
