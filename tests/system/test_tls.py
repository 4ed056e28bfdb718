"""A broker that speaks TLS only: every kind of client checks whose certificate it is, before it says a password.

The files are those of `einlass controller broker`; the authorities are made for each run.
"""

import asyncio
import datetime
import ipaddress
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from einlass_controller.broker import BrokerTls, controller_user
from einlass_controller.broker_files import users_of_site, write_broker_files
from einlass_controller.mqtt import Client, Publication
from einlass_core.wire import topic_up
from einlass_edge.link import Link
from einlass_sim.bench_node import bench_node
from einlass_sim.brokers import Broker, start_broker
from einlass_sim.processes import wait_until
from mqtt_bench import CONTROLLER, DEADLINE_S, GATE, Node
from whole_line import BROKERS

WHOLE_S_MAX = 90.0
# Here TLS itself lives in the heap of MicroPython; on an ESP32 it has memory of its own, outside of it.
TLS_HEAP = "180K"
PLAN = """
[site]
id = "pool"
name = "Bad"

[[zone]]
id = "pool"
name = "Bad"
cap = 5

[[lane]]
id = "gate-1"
name = "Eingang"
zone = "pool"
node = "gate-1"

[[node]]
id = "gate-1"
board = "pi"
"""


class Authority(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def authority(name: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    return Authority(certificate(name, key, None, True), key)


def certificate(
    name: str, key: ec.EllipticCurvePrivateKey, by: Authority | None, ca: bool, *names: x509.GeneralName
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
    ) | dict.fromkeys(("encipher_only", "decipher_only"), False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if by:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key())
        builder = builder.add_extension(issuer, critical=False)
    return builder.sign(by.key if by else key, hashes.SHA256())


class Files(NamedTuple):
    tls: BrokerTls
    ca: Path
    other_ca: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    directory = tmp_path_factory.mktemp("certificates")
    ours, other = authority("our authority"), authority("another authority")
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    leaf = certificate("127.0.0.1", key, ours, False, *names)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    content = {
        "broker.pem": leaf.public_bytes(pem),
        "broker.key": private,
        "ca.pem": ours.certificate.public_bytes(pem),
        "other.pem": other.certificate.public_bytes(pem),
    }
    for name, data in content.items():
        (directory / name).write_bytes(data)
    tls = BrokerTls(str(directory / "broker.pem"), str(directory / "broker.key"))
    return Files(tls, directory / "ca.pem", directory / "other.pem")


@pytest.fixture(scope="module", params=BROKERS)
def broker(request: pytest.FixtureRequest, files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = start_broker(request.param, tmp_path_factory.mktemp("broker"), [CONTROLLER, GATE], tls=files.tls)
    try:
        yield broker
    finally:
        broker.stop()


class Hears:
    def __init__(self) -> None:
        self.up = asyncio.Event()

    def received(self, kind: str, fields: dict[str, Any]) -> None:
        pass

    def link_changed(self, up: bool) -> None:
        if up:
            self.up.set()

    def identity(self) -> dict[str, Any]:
        account = {"epoch": 0, "version": 0, "ceiling": 0, "balance": 0, "pending": 0}
        return {"inc": "0123456789abcdef", "boot": 1, "seq": 0, "account": account}


async def pi_comes_up(broker: Broker, ca: Path) -> str:
    """Empty when the Pi's line to the broker comes up, else why it was refused."""
    hears = Hears()
    link = Link(
        hears,
        site="pool",
        node=GATE.name,
        host=broker.host,
        port=broker.port,
        password=GATE.password,
        ca=str(ca),
        software="test",
        hardware="test",
        reason="test",
    )
    running = asyncio.create_task(link.run())
    try:
        await asyncio.wait_for(hears.up.wait(), DEADLINE_S)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return ""


def test_an_esp32_speaks_to_its_own_broker_only(broker: Broker, files: Files) -> None:
    with Node(broker.port, ca_file=str(files.ca), connect_timeout_ms=10_000) as node:
        node.expect("link", True)
        assert node.publish("over TLS")
        wait_until(lambda: node.ask("stats")["pending"] == 0, DEADLINE_S, "it is acknowledged")
    with Node(broker.port, ca_file=str(files.other_ca), connect_timeout_ms=10_000) as node:
        wait_until(lambda: "cert" in node.ask("stats")["last_error"].lower(), DEADLINE_S, "the certificate is refused")
        assert node.ask("stats")["links"] == 0


def test_the_flashed_firmware_lets_somebody_in_over_tls(files: Files, tmp_path: Path) -> None:
    async def scene() -> None:
        whole = bench_node(tmp_path, heap=TLS_HEAP, tls=files.tls, ca=files.ca)
        async with whole as bench, asyncio.timeout(WHOLE_S_MAX):
            await bench.start()
            await bench.visit("ticket-1")
            await bench.until("its passage", lambda: bench.kinds() == ["boot", "released", "passed"])
            assert (await bench.status())["heap_free_bytes"] > 0

    asyncio.run(scene())


def test_a_pi_speaks_to_its_own_broker_only(broker: Broker, files: Files, capfd: pytest.CaptureFixture[str]) -> None:
    assert asyncio.run(pi_comes_up(broker, files.ca)) == ""
    node = Hears()

    async def refused() -> None:
        link = asyncio.create_task(pi_comes_up(broker, files.other_ca))
        try:
            async with asyncio.timeout(DEADLINE_S):
                while "CERTIFICATE_VERIFY_FAILED" not in "".join(capfd.readouterr()):
                    await asyncio.sleep(0.02)
            assert not link.done()
        finally:
            link.cancel()
            await asyncio.gather(link, return_exceptions=True)

    asyncio.run(refused())
    assert not node.up.is_set()


def test_the_controller_speaks_to_its_own_broker_only(broker: Broker, files: Files) -> None:
    import ssl

    async def hears(ca: Path) -> list[Publication]:
        found: list[Publication] = []
        heard = asyncio.Event()

        def take(said: list[Publication]) -> None:
            found.extend(said)
            heard.set()

        client = Client(take, lambda reason: None)
        user = controller_user(CONTROLLER.password)
        try:
            async with asyncio.timeout(DEADLINE_S):
                await client.connect(
                    broker.host,
                    broker.port,
                    name=user.name,
                    user=user.name,
                    password=user.password,
                    keepalive_s=30,
                    clean=True,
                    tls=ssl.create_default_context(cafile=str(ca)),
                )
                await client.subscribe([topic_up("pool", GATE.name, "event")])
                await asyncio.to_thread(say)
                await heard.wait()
        finally:
            client.close()
        return found

    def say() -> None:
        with Node(broker.port, ca_file=str(files.ca), connect_timeout_ms=10_000) as node:
            node.expect("link", True)
            assert node.publish("for the controller")
            wait_until(lambda: node.ask("stats")["pending"] == 0, DEADLINE_S, "it is acknowledged")

    assert [one.payload for one in asyncio.run(hears(files.ca))] == [b"for the controller"]
    with pytest.raises(ssl.SSLCertVerificationError):
        asyncio.run(hears(files.other_ca))


@pytest.mark.parametrize("kind", BROKERS)
def test_the_files_of_a_site_start_a_broker(kind: Any, files: Files, tmp_path: Path) -> None:
    site, to = tmp_path / "site", tmp_path / "broker"
    plan = tmp_path / "site.toml"
    plan.write_text(PLAN)
    einlass = [sys.executable, "-m", "einlass_cli", "controller"]
    subprocess.run([*einlass, "setup", "--plan", str(plan), "--dir", str(site)], check=True, capture_output=True)
    how = ["--cert", files.tls.certificate, "--cert-key", files.tls.key, "--kind", kind, "--to", str(to)]
    made = subprocess.run(
        [*einlass, "broker", "--dir", str(site), *how], check=True, capture_output=True, text=True
    ).stdout
    assert "2 users may connect on port 8883" in made
    users = users_of_site(site)
    assert [user.name for user in users] == ["controller", "gate-1"]
    assert [path.stat().st_mode & 0o077 for path in to.iterdir()] == [0] * len(list(to.iterdir()))
    # The same users and files, on a port that is free here.
    with start_broker(kind, tmp_path / "here", users, tls=files.tls) as broker:
        written = write_broker_files(kind, users, tmp_path / "again", port=broker.port, tls=files.tls)
        assert written.read_text().count("broker.pem") == 1


def test_half_a_certificate_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "einlass_cli", "controller", "broker", "--dir", "x", "--to", "y", "--cert", "z"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "give --cert and --cert-key" in found.stderr
