"""The files a broker starts with, made from a site's credentials: `einlass controller broker`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from sqlalchemy import select

from einlass_controller import broker
from einlass_controller.private_file import write_private
from einlass_controller.settings import SETTINGS_FILE, SettingsError, read_settings
from einlass_controller.setup import SECRETS_FILE
from einlass_controller.store.database import open_database
from einlass_controller.store.schema import SITE

BrokerKind = Literal["mosquitto", "nats"]
KINDS: tuple[BrokerKind, ...] = ("mosquitto", "nats")
CONFIG_FILES: dict[BrokerKind, str] = {"mosquitto": "mosquitto.conf", "nats": "nats.conf"}
PORT_DEFAULT, TLS_PORT_DEFAULT = 1883, 8883


def users_of_site(directory: Path) -> list[broker.BrokerUser]:
    """Everybody who may connect, from what a set-up made. Raises SettingsError, DatabaseError, BrokerSettingError."""
    settings = read_settings(directory / SETTINGS_FILE)
    try:
        found = json.loads((directory / SECRETS_FILE).read_text(encoding="utf-8"))
        passwords = {str(name): str(password) for name, password in dict(found).items()}
        controller = broker.controller_user(passwords.pop(broker.CONTROLLER_NAME))
    except (OSError, ValueError, KeyError) as error:
        raise SettingsError(
            f"{directory / SECRETS_FILE} cannot be used ({error}): make the site first, with einlass controller setup"
        ) from error
    database = open_database(settings.database_url)
    try:
        with database.connect() as connection:
            site = connection.execute(select(SITE.c.id)).scalar_one()
    finally:
        database.dispose()
    return [controller, *[broker.node_user(site, node, password) for node, password in passwords.items()]]


def write_broker_files(
    kind: BrokerKind,
    users: Sequence[broker.BrokerUser],
    directory: Path,
    *,
    port: int,
    bind: str = broker.BIND_DEFAULT,
    store: Path | None = None,
    tls: broker.BrokerTls | None = None,
    run_as: str | None = None,
) -> Path:
    """Write what this broker needs into `directory` (made, and readable by its owner only); the main file.

    `store` is the broker's own directory, below `directory` unless given. Raises BrokerSettingError, OSError.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory = directory.resolve()
    if store is None:
        store = directory / "store"
        store.mkdir(exist_ok=True, mode=0o700)
    main = directory / CONFIG_FILES[kind]
    if kind == "nats":
        text = broker.nats_config(port=port, users=users, store_directory=str(store), bind=bind, tls=tls)
        write_private(main, text)
        return main
    passwords, acl = directory / "passwords", directory / "acl"
    text = broker.mosquitto_config(
        port=port,
        password_file=str(passwords),
        acl_file=str(acl),
        store_directory=str(store),
        bind=bind,
        tls=tls,
        run_as=run_as,
    )
    write_private(passwords, broker.mosquitto_passwords(users))
    write_private(acl, broker.mosquitto_acl(users))
    write_private(main, text)
    return main
