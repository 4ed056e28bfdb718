"""What a broker is told: who may connect, what each may say and hear, and the limits. Pure text, no files, no sockets.

Two brokers are supported: mosquitto, and nats-server with its MQTT listener where mosquitto is not installed.
Neither can forbid the retain flag by topic: readers drop retained messages on every topic but `state`.
nats has no twin of `use_username_as_clientid`: there, one node's credentials with another's client id throw that
other one out (it comes back by itself); it still can neither read nor write the other's topics.
"""

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from einlass_core.wire import NAME_LENGTH_MAX, ROOT, topic_all, topic_down, topic_state, topic_up

CONTROLLER_NAME = "controller"
BIND_DEFAULT = "127.0.0.1"

PASSWORD_LENGTH_MIN = 12
PASSWORD_LENGTH_MAX = 128
PASSWORD_RANDOM_BYTES = 24

PACKET_BYTES_MAX = 16_384
QUEUED_MESSAGES_MAX = 5_000
QUEUED_BYTES_MAX = 8 * 1024 * 1024
INFLIGHT_MESSAGES_MAX = 100
CONNECTIONS_MAX = 2_000
AUTOSAVE_S = 60
SESSION_EXPIRY_DAYS = 14
STORE_BYTES_MAX = 1024 * 1024 * 1024
STORE_MEMORY_BYTES_MAX = 64 * 1024 * 1024
ACK_WAIT_S = 5

# mosquitto 2.0 refuses any other length of salt.
SALT_BYTES = 12
# The passwords are random (192 bits), so stretching adds nothing; a slow hash would hold up the broker's one thread
# while 200 nodes reconnect after a power cut.
PBKDF2_ROUNDS = 1_000

# Names become topic levels, user names and lines of configuration: nothing that has a meaning of its own there.
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?")
# What both configuration languages carry unchanged. A leading $ would be taken for a hash.
_PASSWORD = re.compile(r"[A-Za-z0-9_.~+-]+")
_PATH = re.compile(r"/[^\x00-\x1f\x7f]*")
_RESERVED_NODES = frozenset({"all"})


class BrokerSettingError(ValueError):
    """A user, name or path that must not go into a broker's configuration; the message says what to do."""


@dataclass(frozen=True, slots=True)
class BrokerUser:
    """One set of credentials. Made by `node_user` or `controller_user`; `node` is empty for the controller."""

    name: str
    password: str
    site: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class BrokerTls:
    """Paths of the broker's certificate (with its chain, PEM) and its private key."""

    certificate: str
    key: str


def new_password() -> str:
    """A random password that both brokers and a QR code can carry (192 bits)."""
    return secrets.token_hex(PASSWORD_RANDOM_BYTES)


def node_user(site: str, node: str, password: str) -> BrokerUser:
    """Credentials of a node; its user name is its node id (docs/protocol.md, MQTT). Raises BrokerSettingError."""
    _check_name("site", site)
    _check_name("node", node)
    if node in _RESERVED_NODES or node == CONTROLLER_NAME:
        raise BrokerSettingError(f"node id {node!r} is reserved: give the node another id")
    _check_password(node, password)
    return BrokerUser(name=node, password=password, site=site, node=node)


def controller_user(password: str, name: str = CONTROLLER_NAME) -> BrokerUser:
    """Credentials of the controller, which reads and writes every topic under the root. Raises BrokerSettingError."""
    _check_name("controller's user", name)
    _check_password(name, password)
    return BrokerUser(name=name, password=password)


def mosquitto_config(
    *,
    port: int,
    password_file: str,
    acl_file: str,
    store_directory: str,
    bind: str = BIND_DEFAULT,
    tls: BrokerTls | None = None,
    run_as: str | None = None,
) -> str:
    """The main configuration file for mosquitto 2. `run_as` is the account that it drops to when started as root.

    With `tls` there is no listener without.
    """
    _check_port(port)
    lines = [
        "per_listener_settings false",
        # Started as root, mosquitto becomes this account before it reads the files below.
        *([f"user {run_as}"] if run_as is not None else []),
        f"listener {port} {_bind(bind)}",
        "protocol mqtt",
        *(_mosquitto_tls(tls) if tls is not None else []),
        # Without it a QoS 1 exchange waits for the delayed acknowledgement of TCP: 44 ms instead of 0.5 ms.
        "set_tcp_nodelay true",
        # Else one node's credentials with another's client id throw that other one out.
        "use_username_as_clientid true",
        "allow_anonymous false",
        f"password_file {_path(password_file)}",
        f"acl_file {_path(acl_file)}",
        f"max_connections {CONNECTIONS_MAX}",
        f"max_packet_size {PACKET_BYTES_MAX}",
        f"max_inflight_messages {INFLIGHT_MESSAGES_MAX}",
        f"max_queued_messages {QUEUED_MESSAGES_MAX}",
        f"max_queued_bytes {QUEUED_BYTES_MAX}",
        "queue_qos0_messages false",
        "retain_available true",
        "check_retain_source true",
        # It saves on a clean stop and now and then; nothing relies on it, every state is sent again by its owner.
        "persistence true",
        f"persistence_location {_path(store_directory).rstrip('/')}/",
        f"autosave_interval {AUTOSAVE_S}",
        "autosave_on_changes false",
        f"persistent_client_expiration {SESSION_EXPIRY_DAYS}d",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "log_timestamp_format %Y-%m-%dT%H:%M:%S",
    ]
    return "\n".join(lines) + "\n"


def _mosquitto_tls(tls: BrokerTls) -> list[str]:
    return [f"certfile {_path(tls.certificate)}", f"keyfile {_path(tls.key)}"]


def mosquitto_passwords(users: Sequence[BrokerUser]) -> str:
    """The password file: one salted PBKDF2-SHA512 hash a user, as `mosquitto_passwd` writes it."""
    _check_users(users)
    return "".join(f"{user.name}:{mosquitto_hash(user.password, secrets.token_bytes(SALT_BYTES))}\n" for user in users)


def mosquitto_hash(password: str, salt: bytes) -> str:
    """One password in mosquitto's `$7$` form (mosquitto 2.0 on). `salt` has SALT_BYTES bytes."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, PBKDF2_ROUNDS)
    return f"$7${PBKDF2_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def mosquitto_acl(users: Sequence[BrokerUser]) -> str:
    """The access file. What no line allows is forbidden, though acknowledged (MQTT 3.1.1 has no refusal)."""
    _check_users(users)
    lines: list[str] = []
    for user in users:
        lines.append(f"user {user.name}")
        lines += [f"topic write {topic}" for topic in _writes(user)]
        lines += [f"topic read {topic}" for topic in _reads(user)]
        lines.append("")
    return "\n".join(lines)


def nats_config(
    *,
    port: int,
    users: Sequence[BrokerUser],
    store_directory: str,
    client_port: int = -1,
    bind: str = BIND_DEFAULT,
    tls: BrokerTls | None = None,
) -> str:
    """The one configuration file for nats-server; it holds the passwords, so it must be readable by its owner only.

    `client_port` is for nats' own protocol, which cannot be turned off: bound to loopback, no user may use it
    (-1: any free port). With `tls` there is no MQTT listener without.
    """
    _check_port(port)
    _check_users(users)
    config: dict[str, Any] = {
        "server_name": "einlass",
        "host": "127.0.0.1",
        "port": client_port,
        "max_payload": PACKET_BYTES_MAX,
        "max_connections": CONNECTIONS_MAX,
        "jetstream": {
            "store_dir": _path(store_directory),
            "max_memory_store": STORE_MEMORY_BYTES_MAX,
            "max_file_store": STORE_BYTES_MAX,
        },
        "mqtt": {
            "host": _bind(bind),
            "port": port,
            "ack_wait": f"{ACK_WAIT_S}s",
            "max_ack_pending": INFLIGHT_MESSAGES_MAX,
        },
        "authorization": {"users": [_nats_user(user) for user in users]},
    }
    if tls is not None:
        config["mqtt"]["tls"] = {"cert_file": _path(tls.certificate), "key_file": _path(tls.key)}
    # The configuration language of nats is a superset of JSON.
    return json.dumps(config, indent=2) + "\n"


def _nats_user(user: BrokerUser) -> dict[str, object]:
    said = [subject for topic in _writes(user) for subject in _subjects(topic)]
    heard = [subject for topic in _reads(user) for subject in _subjects(topic)]
    return {
        "user": user.name,
        "password": user.password,
        "allowed_connection_types": ["MQTT"],
        "permissions": {
            # QoS 1 goes through a stream of the server's own, under this prefix and in the sender's name. Allowing all
            # of `$MQTT.>` would let one node forge another's messages by publishing to the stream itself.
            "publish": {"allow": said + [f"$MQTT.msgs.{subject}" for subject in said]},
            "subscribe": {"allow": [*heard, "$MQTT.sub.>"]},
        },
    }


def _subjects(topic: str) -> list[str]:
    """nats subjects of an MQTT topic filter; `a/#` also means `a`, which is a subject of its own."""
    subject = topic.replace("/", ".")
    if subject.endswith(".#"):
        stem = subject.removesuffix(".#")
        return [stem, stem + ".>"]
    return [subject]


def _writes(user: BrokerUser) -> list[str]:
    return [topic_up(user.site, user.node, "#"), topic_state(user.site, user.node)] if user.node else [f"{ROOT}/#"]


def _reads(user: BrokerUser) -> list[str]:
    return [topic_down(user.site, user.node, "#"), topic_all(user.site, "#")] if user.node else [f"{ROOT}/#"]


def _check_users(users: Sequence[BrokerUser]) -> None:
    seen: set[str] = set()
    for user in users:
        if user.name in seen:
            raise BrokerSettingError(f"two users are called {user.name!r}: node ids are unique across all sites")
        seen.add(user.name)


def _check_name(what: str, name: str) -> None:
    if len(name) > NAME_LENGTH_MAX or _NAME.fullmatch(name) is None:
        raise BrokerSettingError(
            f"{what} {name[:NAME_LENGTH_MAX]!r} cannot be a topic level: use 1 to {NAME_LENGTH_MAX} of a-z, 0-9, -"
            " and _, with a letter or digit at both ends"
        )


def _check_password(name: str, password: str) -> None:
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX or _PASSWORD.fullmatch(password) is None:
        raise BrokerSettingError(
            f"the password of {name!r} must have {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters"
            " of A-Z a-z 0-9 _ . ~ + -"
        )


def _check_port(port: int) -> None:
    if not 1 <= port <= 65_535:
        raise BrokerSettingError(f"port {port} is not one of 1 to 65535")


def _bind(address: str) -> str:
    if re.fullmatch(r"[0-9A-Za-z.:-]{1,253}", address) is None:
        raise BrokerSettingError(f"{address[:60]!r} is no address to listen on: give an IP address or a host name")
    return address


def _path(path: str) -> str:
    if _PATH.fullmatch(path) is None:
        raise BrokerSettingError(f"{path[:200]!r} must be an absolute path without control characters")
    return path
