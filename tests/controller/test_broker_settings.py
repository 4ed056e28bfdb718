"""What goes into a broker's configuration is checked: nothing in a name or password may become a setting."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from einlass_controller.broker import (
    SALT_BYTES,
    BrokerSettingError,
    controller_user,
    mosquitto_acl,
    mosquitto_config,
    mosquitto_hash,
    mosquitto_passwords,
    nats_config,
    new_password,
    node_user,
)
from einlass_core.wire import NAME_LENGTH_MAX

GOOD = "long-enough-password"
FILES: dict[str, Any] = {"password_file": "/p", "acl_file": "/a", "store_directory": "/s"}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "gate 1",
        "gate/1",
        "gate+",
        "#",
        "gate.1",
        "gate\ntopic #",
        "$SYS",
        "-gate",
        "gate-",
        "tür",
        "a" * 33,
        "a:b",
    ],
)
def test_a_name_that_is_no_topic_level_is_refused(name: str) -> None:
    assert NAME_LENGTH_MAX == 32
    with pytest.raises(BrokerSettingError, match="topic level"):
        node_user("pool", name, GOOD)
    with pytest.raises(BrokerSettingError, match="topic level"):
        node_user(name, "gate-1", GOOD)


@pytest.mark.parametrize("node", ["all", "controller"])
def test_reserved_names_are_refused(node: str) -> None:
    with pytest.raises(BrokerSettingError, match="reserved"):
        node_user("pool", node, GOOD)


@pytest.mark.parametrize(
    "password",
    ["", "short", "with space in it", 'quote"quote"quote', "$2a$11$like.a.hash", "new\nline" * 3, "x" * 129],
)
def test_a_password_that_some_file_would_misread_is_refused(password: str) -> None:
    with pytest.raises(BrokerSettingError, match="password"):
        controller_user(password)


def test_two_users_of_one_name_are_refused() -> None:
    twice = [node_user("pool", "gate-1", GOOD), node_user("spa", "gate-1", GOOD)]
    for write in (mosquitto_acl, mosquitto_passwords):
        with pytest.raises(BrokerSettingError, match="unique"):
            write(twice)
    with pytest.raises(BrokerSettingError, match="unique"):
        nats_config(port=1883, users=twice, store_directory="/s")


def test_a_path_or_address_cannot_bring_a_setting_of_its_own() -> None:
    with pytest.raises(BrokerSettingError, match="absolute path"):
        mosquitto_config(port=1883, **{**FILES, "acl_file": "/a\nallow_anonymous true"})
    with pytest.raises(BrokerSettingError, match="listen"):
        mosquitto_config(port=1883, bind="127.0.0.1\nallow_anonymous true", **FILES)
    with pytest.raises(BrokerSettingError, match="port"):
        mosquitto_config(port=0, **FILES)


def test_new_passwords_differ_and_are_accepted() -> None:
    first, second = new_password(), new_password()
    assert first != second
    assert controller_user(first).password == first


def test_it_listens_to_this_machine_only_unless_told() -> None:
    assert "listener 1883 127.0.0.1\n" in mosquitto_config(port=1883, **FILES)
    assert "listener 1883 192.0.2.7\n" in mosquitto_config(port=1883, bind="192.0.2.7", **FILES)
    config = json.loads(nats_config(port=1883, users=[controller_user(GOOD)], store_directory="/s", bind="192.0.2.7"))
    assert config["mqtt"]["host"] == "192.0.2.7"
    assert config["host"] == "127.0.0.1"


def test_no_password_stands_in_a_mosquitto_file() -> None:
    users = [controller_user(GOOD), node_user("pool", "gate-1", GOOD)]
    assert GOOD not in mosquitto_passwords(users) + mosquitto_acl(users)


@pytest.mark.needs("mosquitto_passwd")
def test_the_hash_has_the_form_that_mosquitto_writes(tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    program = shutil.which("mosquitto_passwd")
    assert program is not None
    subprocess.run([program, "-b", "-c", str(file), "gate-1", GOOD], check=True, capture_output=True, timeout=10)
    theirs = file.read_text().strip().split(":", 1)[1].split("$")
    ours = mosquitto_hash(GOOD, b"s" * SALT_BYTES).split("$")
    assert [len(part) for part in ours if not part.isdigit()] == [len(part) for part in theirs if not part.isdigit()]
    assert ours[1] == theirs[1] == "7"
