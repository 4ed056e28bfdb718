"""Making a site: from a small TOML file to a database, credentials for every node, and the first API key."""

import hashlib
import json
import secrets
import time
import tomllib
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select, update
from sqlalchemy import Engine as Database

from einlass_controller import broker
from einlass_controller.domain.occupancy import InvariantError
from einlass_controller.lane_changes import DESK_PREFIX, moves_lanes, nodes_taken, why_count
from einlass_controller.live import load
from einlass_controller.parking_book import load_book
from einlass_controller.plan import Plan
from einlass_controller.private_file import write_private
from einlass_controller.runtime import begin_count, lock_database
from einlass_controller.settings import API_KEY_FILE, HASH_KEY_BYTES, SETTINGS_FILE, SettingsError, read_settings
from einlass_controller.store.database import migrate, open_database, url_of_file
from einlass_controller.store.schema import ACCOUNT, API_KEY, LANE, NODE, SIGN, SITE, TARIFF, TILL, ZONE
from einlass_controller.tariffs import load_tariff
from einlass_tariff.problems import StayError, TariffError

SECRETS_FILE = "secrets.json"
DATABASE_FILE = "einlass.db"
API_KEY_NAME = "first"
API_KEY_PREFIX = "ek_"
API_KEY_BYTES = 24
KEYS_MAX = 1_000
# What a key may be used for. admin opens everything.
SELL, SCAN, SUPERVISE, READ, PARTNER, ADMIN = SCOPES = ("sell", "scan", "supervise", "read", "partner", "admin")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a set-up made. passwords: MQTT, by user name (the controller's too). api_key is shown once.

    count: why nobody will be let in before people were counted; "": nothing of that kind.
    """

    directory: Path
    settings: Path
    passwords: dict[str, str]
    api_key: str
    count: str = ""


def set_up(plan: Plan, directory: Path, **settings: str | int) -> Prepared:
    """Make or update a site in this directory; `settings` are keys of Settings (mqtt_port=..., http_port=...).

    Again over an existing site: names and caps are taken from the plan, new zones, lanes and nodes are added, all else
    (passwords, keys, counts, tickets) stays. Where a lane that was in use leads into other zones now, people must be
    counted (lane_changes.py). Not while the controller runs. Raises SettingsError, DatabaseError.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory = directory.resolve()
    path = directory / SETTINGS_FILE
    before = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    kept = _read_secrets(directory)
    passwords = {name: kept.get(name) or broker.new_password() for name in _users(plan)}
    values: dict[str, Any] = {
        "database_url": url_of_file(directory / DATABASE_FILE),
        "hash_key": secrets.token_hex(HASH_KEY_BYTES),
        "state_dir": str(directory),
        **before,
        **settings,
        "mqtt_password": passwords[broker.CONTROLLER_NAME],
    }
    database = open_database(str(values["database_url"]))
    try:
        migrate(database)
        moves, count = _look_ahead(database, plan)
        if count:
            write_private(path, _text_of(values))
            begin_count(read_settings(path).model_copy(update={"database_url": values["database_url"]}), count)
        # A running controller would go on with the lanes that it has read, until it has to read them again.
        stopped = lock_database(str(values["database_url"])) if moves else nullcontext()
        with stopped, database.begin() as connection:
            seed_site(connection, plan)
        if database.url.database and database.dialect.name == "sqlite":
            Path(database.url.database).chmod(0o600)
        api_key = "" if (directory / API_KEY_FILE).exists() else add_api_key(database, API_KEY_NAME)
    finally:
        database.dispose()
    write_private(path, _text_of(values))
    write_private(directory / SECRETS_FILE, json.dumps(passwords, indent=2) + "\n")
    if api_key:
        write_private(directory / API_KEY_FILE, api_key + "\n")
    return Prepared(directory, path, passwords, (directory / API_KEY_FILE).read_text().strip(), count)


def _text_of(values: dict[str, Any]) -> str:
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def _look_ahead(database: Database, plan: Plan) -> tuple[bool, str]:
    """Whether lanes of this site are moved, and why people must be counted then."""
    with database.connect() as connection:
        if connection.execute(select(SITE.c.id)).scalar() != plan.site.id:
            return False, ""
        try:
            live = load(connection)
        except InvariantError:  # an earlier plan may be the reason, and this one what puts it right
            return True, ""
        why = why_count(live, plan)
        if why:
            seed_site(connection, plan)  # and not kept: a mistake in the plan is found before the books are touched
            connection.rollback()
    return moves_lanes(live, plan), why


def add_api_key(database: Database, name: str, scopes: tuple[str, ...] = (ADMIN,), rate_per_s: int = 0) -> str:
    """A new API key; only its hash is stored. rate_per_s 0: no limit."""
    key = new_api_key()
    with database.connect() as connection:
        taken = set(connection.execute(select(API_KEY.c.name)).scalars())
    # A key whose file was lost stays valid until it is withdrawn; the new one needs a name of its own.
    name = next(free for free in (name, *(f"{name}-{n}" for n in range(2, KEYS_MAX))) if free not in taken)
    row = {
        "name": name,
        "key_sha256": hash_api_key(key),
        "created_ms": time.time_ns() // 1_000_000,
        "scopes": " ".join(scopes),
        "rate_per_s": rate_per_s,
        "partner": "",
    }
    with database.begin() as connection:
        connection.execute(insert(API_KEY), [row])
    return key


def new_api_key() -> str:
    """A key nobody can guess."""
    return API_KEY_PREFIX + secrets.token_urlsafe(API_KEY_BYTES)


def hash_api_key(key: str) -> str:
    """As it is stored; the key has 192 random bits, so a plain hash is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


def _users(plan: Plan) -> list[str]:
    return [broker.CONTROLLER_NAME, *[node.id for node in plan.node]]


def seed_site(connection: Connection, plan: Plan) -> None:
    """The plan's rows, new or brought up to date. Raises SettingsError when another site is there."""
    site = plan.site
    others = [name for name in connection.execute(select(SITE.c.id)).scalars() if name != site.id]
    if others:
        raise SettingsError(
            f"this directory belongs to the site {others[0]!r}: give {site.id!r} a directory of its own"
        )
    english = {"name_en": site.name_en or site.name, "time_zone": site.time_zone}
    _put(connection, SITE, {"id": site.id, "name": site.name, **english})
    for zone in plan.zone:
        row = {"parent": zone.parent, "name": zone.name, "name_en": zone.name_en or zone.name, "cap": zone.cap}
        row |= {"tariff": put_tariff(connection, Path(zone.tariff)) if zone.tariff else ""}
        row |= {"lost_ticket_cents": zone.lost_ticket_cents, "free_with": zone.free_with}
        row |= {"free_minutes": zone.free_minutes}
        _put(connection, ZONE, {"id": zone.id, "site": site.id, **row}, {"base": 0, "ghosts": 0, "is_open": True})
        names = {"name": f"Kasse {zone.name}", "name_en": f"Desk {zone.name_en or zone.name}"}
        desk = {"zone": zone.id, "outer": zone.parent, "node": "", **names}
        _put_lane(connection, {"id": DESK_PREFIX + zone.id, **desk})
    for node in plan.node:
        words = dict.fromkeys(("inc", "software", "hardware", "fault", "alarm"), "")
        numbers = {"past": "[]", "boot": 0, "applied_seq": 0, "emergency": False}
        _put(connection, NODE, {"id": node.id, "board": node.board}, {**words, **numbers})
    taken = LANE.c.node.in_(nodes_taken(plan)) & LANE.c.id.not_in([lane.id for lane in plan.lane])
    connection.execute(update(LANE).where(taken).values(node=""))
    for lane in plan.lane:
        row = {"zone": lane.zone, "outer": lane.outer, "node": lane.node, "name": lane.name, "issues": lane.issues}
        _put_lane(connection, {"id": lane.id, **row, "name_en": lane.name_en or lane.name})
    for till in plan.till:
        row = {"node": till.node, "zone": till.zone, "name": till.name, "name_en": till.name_en or till.name}
        _put(connection, TILL, {"id": till.id, **row}, {"inc": "", "account": "{}"})
    connection.execute(delete(SIGN))
    if plan.sign:
        connection.execute(insert(SIGN), [{"node": sign.node, "zone": sign.zone} for sign in plan.sign])


def put_tariff(connection: Connection, path: Path) -> str:
    """Keep the tariff in a file as a version, unless it is kept already; returns its name. Raises SettingsError."""
    try:
        tariff, text = load_tariff(path), path.read_text(encoding="utf-8")
        valid_from = tariff.valid_from.isoformat()
        kept = connection.execute(
            select(TARIFF.c.valid_from, TARIFF.c.digest).where(TARIFF.c.name == tariff.name).order_by(TARIFF.c.number)
        )
        known = {row.valid_from: row.digest for row in kept}
        if known.get(valid_from) == tariff.digest:
            return tariff.name
        if valid_from in known:
            raise SettingsError(
                f"{path}: the version of {valid_from} is kept with another text, and stays were priced by it: "
                "give the new text a valid_from of its own"
            )
        number = (connection.execute(select(func.max(TARIFF.c.number))).scalar() or 0) + 1
        row = {"number": number, "name": tariff.name, "valid_from": valid_from, "digest": tariff.digest, "body": text}
        row |= {"is_json": path.suffix.lower() == ".json", "by": "setup", "reason": ""}
        connection.execute(insert(TARIFF), [row | {"created_ms": time.time_ns() // 1_000_000}])
        load_book(connection, tariff.name)  # all versions must go together
    except (TariffError, StayError, OSError) as error:
        raise SettingsError(f"{path}: {error}") from error
    return tariff.name


def _put_lane(connection: Connection, row: dict[str, Any]) -> None:
    _put(connection, LANE, row)
    numbers = ("epoch", "seq", "version", "balance", "pending", "version_sent", "lowering")
    account: dict[str, Any] = {"inc": "", "frozen": False, "sent": "[[0, 0]]", **dict.fromkeys(numbers, 0)}
    if connection.execute(select(ACCOUNT.c.lane).where(ACCOUNT.c.lane == row["id"])).first() is None:
        connection.execute(insert(ACCOUNT), [{"lane": row["id"], **account}])


def _put(connection: Connection, table: Table, row: dict[str, Any], fresh: dict[str, Any] | None = None) -> None:
    """Insert with `fresh` values, or update without them."""
    if connection.execute(select(table.c.id).where(table.c.id == row["id"])).first() is None:
        connection.execute(insert(table), [row | (fresh or {})])
    else:
        connection.execute(update(table).where(table.c.id == row["id"]).values(row))


def _read_secrets(directory: Path) -> dict[str, str]:
    path = directory / SECRETS_FILE
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return {str(name): str(password) for name, password in found.items()}
