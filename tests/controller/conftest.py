import hashlib
import itertools
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from sqlalchemy.exc import OperationalError

from einlass_controller.domain.tickets import Ticket
from einlass_controller.engine import Engine, StoreError
from einlass_controller.intake import Intake
from einlass_controller.messages import Issue, Message, Outcome, Redeem, SetRules
from einlass_controller.plan import plan_of
from einlass_controller.settings import read_settings
from einlass_controller.setup import Prepared, set_up
from einlass_controller.store import session
from einlass_controller.store.database import migrate, open_database, url_of_file
from einlass_controller.store.sets import Columns, sets_on
from einlass_core import codes, wire
from einlass_sim.postgres import DATABASE, Postgres, private_postgres

EVERY_DATABASE = (
    "test_engine",
    "test_node_stories",
    "test_databases",
    "test_replay",
    "test_voucher_payments",
    "test_parking",
)
# All that ask for a bench, on both: EINLASS_EVERY_DATABASE=1 .venv/bin/pytest tests/controller -n0
ALL_MODULES = bool(os.environ.get("EINLASS_EVERY_DATABASE"))
SQLITE_ONLY = ("test_backup", "test_store", "test_cli", "test_paper", "test_exchange", "test_access")
NOON_MS = 1_790_000_000_000


def site(cap: int = 3) -> dict[str, Any]:
    return {
        "site": {"id": "pool", "name": "Bad", "name_en": "Pool"},
        "zone": [{"id": "bath", "name": "Becken", "name_en": "Basin", "cap": cap}],
        "node": [{"id": "gate-1", "board": "esp32"}, {"id": "gate-2", "board": "pi"}],
        "lane": [
            {"id": "east", "zone": "bath", "node": "gate-1", "name": "Ost"},
            {"id": "west", "zone": "bath", "node": "gate-2", "name": "West"},
        ],
    }


class Gate:
    """The node's side, as the wire shows it: an account that obeys limits and counts movements."""

    def __init__(self, bench: "Bench", name: str) -> None:
        self.bench, self.name = bench, name
        self.inc, self.boot, self.seq, self.scans = "inc" + name, 1, 0, 0
        self.account = {"epoch": 0, "version": 0, "ceiling": 0, "balance": 0, "pending": 0}

    def message(self, topic_kind: str, **fields: Any) -> Message:
        identity = {"inc": self.inc, "boot": self.boot, "seq": self.seq, "account": self.account}
        payload = wire.encode(topic_kind, {**identity, **fields})
        return self.bench.intake.read(wire.topic_up("pool", self.name, topic_kind), payload)

    def send(self, topic_kind: str, **fields: Any) -> list[dict[str, Any]]:
        return self.bench.run(self.message(topic_kind, **fields))

    def hello(self) -> list[dict[str, Any]]:
        return self.send("hello", software="1", hardware="sim", reason="power")

    def status(self, waiting: int | None = None, **fields: Any) -> list[dict[str, Any]]:
        """waiting: if it is not what nobody has acknowledged."""
        if waiting is None:
            waiting = max(0, self.seq - self.bench.acknowledged.get((self.name, self.inc), 0))
        return self.send("status", ms=1, lane="locked", waiting=waiting, emergency=False, **fields)

    def ask_message(self, code: str, nonce: str = "") -> Message:
        if not nonce:
            self.scans += 1
            nonce = f"{self.inc}.{self.boot}-salt.{self.scans}"  # as a node names them (einlass_core.journal)
        return self.message("ask", nonce=nonce, side="entry", code=code)

    def ask(self, code: str, nonce: str = "") -> dict[str, Any]:
        sent = self.bench.run(self.ask_message(code, nonce))
        answer = next(item for item in sent if item["kind"] == "answer")
        self.obey(answer)
        return answer

    def obey(self, message: dict[str, Any]) -> None:
        limit = message.get("limit")
        if limit and limit["version"] > self.account["version"]:
            self.account.update(version=limit["version"], ceiling=limit["ceiling"])

    def event_message(self, kind: str, **fields: Any) -> Message:
        self.seq += 1
        return self.message("event", **{"kind": kind, "ms": 1, "unix_ms": 0, **fields})

    def event(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        sent = self.bench.run(self.event_message(kind, **fields))
        for item in sent:
            if item["node"] == self.name:
                self.obey(item)
        return sent

    def release(self, answer: dict[str, Any]) -> None:
        persons = answer["persons"]
        self.account["balance"] += persons
        self.account["pending"] += persons
        self.event("released", nonce=answer["nonce"], side="entry", persons=persons)

    def walk_in(self, answer: dict[str, Any], persons: int = 1) -> None:
        self.account["pending"] -= persons
        self.event("passed", nonce=answer["nonce"], side="entry", persons=persons)

    def turn_back(self, answer: dict[str, Any], persons: int = 1) -> None:
        self.account["pending"] -= persons
        self.account["balance"] -= persons
        self.event("unused", nonce=answer["nonce"], side="entry", persons=persons)

    def enter(self, code: str) -> dict[str, Any]:
        answer = self.ask(code)
        assert answer["code"] == "ok"
        self.release(answer)
        self.walk_in(answer, answer["persons"])
        return answer

    def loses_power(self, under_way: int = 0) -> None:
        """It starts again, and says how many were between release and passage."""
        self.boot += 1
        self.account["pending"] -= under_way
        self.event("boot", reason="power")
        if under_way:
            self.event("uncertain", persons=under_way)

    def loses_journal(self) -> None:
        self.inc, self.seq = "new" + self.name, 0
        self.account = dict.fromkeys(self.account, 0)
        self.hello()

    def walk_out(self, **fields: Any) -> list[dict[str, Any]]:
        self.account["balance"] -= 1
        return self.event("passed", side="exit", persons=1, **fields)


class Bench:
    """A controller's engine on a real database file, driven with a clock of our own."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.settings = read_settings(prepared.settings)
        self.intake = Intake("pool", self.settings.hash_key_bytes)
        self.now_ms = NOON_MS
        self.made = 0
        self.scans = 0
        self.acknowledged: dict[tuple[str, str], int] = {}  # records, by node and incarnation
        self.database = open_database(self.settings.database_url)
        self.engine = Engine(self.database)

    def run(self, *messages: Message) -> list[dict[str, Any]]:
        return self.read(self.attempt(*messages))

    def attempt(self, *messages: Message) -> Outcome:
        self.now_ms += 10
        return self.engine.run(messages, self.now_ms)

    def read(self, outcome: Outcome) -> list[dict[str, Any]]:
        found = []
        for item in outcome.outbound:
            kind = wire.kind_of(item.topic)
            fields = wire.decode(kind, item.payload)
            found.append({"kind": kind, "node": item.topic.split("/")[3], "bytes": item.payload, **fields})
            if kind == "ack":
                self.acknowledged[found[-1]["node"], fields["inc"]] = fields["seq"]
        return found

    def restart(self) -> None:
        """As after kill -9: nothing but the file is left."""
        self.close()
        self.database = open_database(self.settings.database_url)
        self.engine = Engine(self.database)

    def close(self) -> None:
        self.engine.close()
        self.database.dispose()

    def ticket(self, **changes: Any) -> str:
        self.made += 1
        code = codes.opaque(1_000_000 + self.made)
        values = {
            "id": f"T{self.made}",
            "digest": codes.digest(code),
            "code_sha256": hashlib.sha256(code.encode()).hexdigest(),
            "product": "single",
            "zone": "",
            "persons": 1,
            "status": "valid",
            "valid_from_ms": None,
            "valid_until_ms": None,
            "entries_max": 1,
            "entries_used": 0,
            "issued_ms": NOON_MS,
            **changes,
        }
        self.last = Ticket(**values)
        self.attempt(Issue((self.last,), "test"))
        return code

    def rules(self, **body: Any) -> Any:
        """The house's rules, valid at once; `single` is always among the products."""
        products = [{"id": "single", "name": "Einzel", "entries": 1}, *body.pop("product", [])]
        return self.order(SetRules({"product": products, **body}, 0, "test", "trial"))

    def fails_to_commit(self, *messages: Message) -> None:
        """A batch that the disk does not take."""

        def fail(*_: Any) -> None:
            raise OperationalError("COMMIT", {}, Exception("disk full"))

        with mock.patch.object(self.database.dialect, "do_commit", fail), pytest.raises(StoreError):
            self.attempt(*messages)

    def order(self, message: Message) -> Any:
        """What a person orders, and what came of it."""
        return self.attempt(message).results[0]

    def redeem(self, code: str, side: str = "entry", lane: str = "desk-bath", **more: Any) -> dict[str, Any]:
        """A scan at a desk."""
        self.scans += 1
        proof = self.intake.prove(code.encode())
        found = self.order(Redeem("api:test", lane, side, f"n{self.scans}", proof, **more))
        return dict(json.loads(found.answer))

    def pass_by(self, minutes: int = 0, seconds: int = 0, hours: int = 0) -> None:
        """Time goes by."""
        self.now_ms += ((hours * 60 + minutes) * 60 + seconds) * 1000

    def gate(self, name: str = "gate-1", hello: bool = True) -> Gate:
        gate = Gate(self, name)
        if hello:
            gate.hello()
        return gate

    def figures(self) -> tuple[int, ...]:
        return tuple(self.engine.live.books.zones["bath"].figures())

    def rows(self, statement: str) -> list[Any]:
        with self.database.connect() as connection:
            return list(connection.exec_driver_sql(statement).all())

    @contextmanager
    def traced(self, statements: list[str]) -> Iterator[None]:
        """What the engine says to its database meanwhile."""

        class Told:
            def __init__(self, connection: Any) -> None:
                self._sets = sets_on(connection)

            def __getattr__(self, name: str) -> Any:
                method = getattr(self._sets, name)

                def called(*arguments: Any) -> Any:
                    statements.append(f"{name} {' '.join(_named(item) for item in arguments)}")
                    return method(*arguments)

                return called

        with mock.patch.object(session, "sets_on", Told):
            yield

    def ledger(self, kind: str) -> list[dict[str, Any]]:
        rows = self.rows("SELECT kind, body FROM ledger ORDER BY number")
        return [json.loads(body) for name, body in rows if name == kind]


def _named(item: Any) -> str:
    if isinstance(item, list | tuple):
        return " ".join(_named(part) for part in item)
    return item.table if isinstance(item, Columns) else str(item)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server of our own for the whole run; every test makes databases of its own on it, by copying a ready one."""
    with private_postgres(durable=False) as server:
        ready = open_database(server.url)
        migrate(ready)
        ready.dispose()
        yield server


@pytest.fixture
def database_kind() -> str:
    """What the benches of a test keep their books in; EVERY_DATABASE names the modules that try all."""
    return "sqlite"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    module = metafunc.module.__name__.rpartition(".")[2]
    both = module in EVERY_DATABASE or (ALL_MODULES and module not in SQLITE_ONLY)
    if both and "database_kind" in metafunc.fixturenames:
        metafunc.parametrize("database_kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.needs("initdb"))])


@pytest.fixture
def new_database(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Makes a database of the kind that the module asks for, which may have its tables already; returns its URL."""
    numbers, made = itertools.count(), list[str]()

    def make() -> str:
        if database_kind == "sqlite":
            return url_of_file(tmp_path / f"new{next(numbers)}.db")
        server: Postgres = request.getfixturevalue("postgres")
        made.append(f"t{secrets.token_hex(8)}")
        return server.create(made[-1], DATABASE)

    yield make
    for name in made:
        request.getfixturevalue("postgres").drop(name)


@pytest.fixture(scope="session")
def new_site(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any], Path], Prepared]:
    """Makes a site on SQLite as the set-up does, from the second of a plan on as a copy: migrations take a while."""
    ready: dict[str, Prepared] = {}

    def make(plan: dict[str, Any], directory: Path) -> Prepared:
        key = json.dumps(plan, sort_keys=True)
        if key not in ready:
            ready[key] = set_up(plan_of(plan), tmp_path_factory.mktemp("site") / "ready")
        return copy_site(ready[key], directory)

    return make


def copy_site(ready: Prepared, directory: Path) -> Prepared:
    """The same site in another directory, with the same secrets."""
    shutil.copytree(ready.directory, directory)
    toml = directory / ready.settings.name
    toml.write_text(toml.read_text().replace(str(ready.directory), str(directory)))
    return Prepared(directory, toml, ready.passwords, ready.api_key)


@pytest.fixture
def make_bench(
    tmp_path: Path, new_database: Callable[[], str], new_site: Callable[[dict[str, Any], Path], Prepared]
) -> Iterator[Callable[[int], Bench]]:
    made: list[Bench] = []

    def make(cap: int = 3) -> Bench:
        directory = tmp_path / f"site{len(made)}"
        url = new_database()
        if url.startswith("sqlite"):
            made.append(Bench(new_site(site(cap), directory)))
        else:
            made.append(Bench(set_up(plan_of(site(cap)), directory, database_url=url)))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


@pytest.fixture
def bench(make_bench: Callable[[int], Bench]) -> Bench:
    return make_bench(3)


@pytest.fixture
def make_park(
    tmp_path: Path, new_database: Callable[[], str], new_site: Callable[[dict[str, Any], Path], Prepared]
) -> Iterator[Callable[[dict[str, Any]], Bench]]:
    """A bench for any plan."""
    made: list[Bench] = []

    def make(plan: dict[str, Any]) -> Bench:
        directory = tmp_path / f"park{len(made)}"
        url = new_database()
        prepared = new_site(plan, directory) if url.startswith("sqlite") else None
        made.append(Bench(prepared or set_up(plan_of(plan), directory, database_url=url)))
        return made[-1]

    yield make
    for bench in made:
        bench.database.dispose()


@pytest.fixture
def plan_values() -> dict[str, Any]:
    return site()


@pytest.fixture(scope="module")
def shared_gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """One gate for every example of a property: what went before is part of the trial."""
    bench = Bench(set_up(plan_of(site(5)), tmp_path_factory.mktemp("shared")))
    yield bench.gate()
    bench.close()
