"""MQTT in and out. A broken connection gets a new client: what is worth sending is made again from state.

gmqtt's own reconnecting is off: it gives up for good on some refusals, waits for ever on a broker that accepts and
stays silent, and replays old packets. Its loggers are silenced: at debug level they write payloads, thus codes.
"""

import asyncio
import logging
import random
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
from gmqtt import Client, Subscription
from gmqtt.mqtt.constants import MQTTv311

from einlass_controller.intake import Intake
from einlass_controller.messages import Message, Outbound, Tick
from einlass_controller.settings import Settings
from einlass_core import wire

CONNECT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 2.0
KEEPALIVE_S = 10
BACK_OFF_MIN_S = 0.1
BACK_OFF_MAX_S = 5.0
# Fewer than none: gmqtt counts a first try as number 0.
NO_RETRIES = -2
TICK_S = 0.5
ANNOUNCE_S = 10.0
QOS = 1

log = structlog.get_logger("einlass.bus")
logging.getLogger("gmqtt").setLevel(logging.CRITICAL)


class Bus:
    """Keeps one connection to the broker for ever. `post` takes every message that comes in."""

    def __init__(self, settings: Settings, site: str, intake: Intake, post: Callable[[Message], None]) -> None:
        self._settings = settings
        self._intake = intake
        self._post = post
        self._client: Client | None = None
        self._lost = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._topics = (wire.topic_up(site, "+", "+"), wire.topic_state(site, "+"))
        self.connected = asyncio.Event()

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        self._tasks = [
            asyncio.create_task(self._stay_connected(), name="bus"),
            asyncio.create_task(self._tick(), name="ticks"),
        ]

    async def stop(self) -> None:
        """Disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def publish(self, outbound: list[Outbound]) -> None:
        """Send, if connected; if not, whoever needs it asks again."""
        client = self._client
        if client is None:
            return
        try:
            for item in outbound:
                client.publish(item.topic, item.payload, qos=QOS)
        except (OverflowError, OSError, AttributeError) as error:
            # 65,535 packets unacknowledged, or a transport that is closing: begin again with an empty table.
            log.warning("publish_failed", reason=f"{type(error).__name__}: {error}")
            self._lost.set()

    async def _stay_connected(self) -> None:
        back_off_s = BACK_OFF_MIN_S
        while True:
            try:
                await self._session()
                back_off_s = BACK_OFF_MIN_S
            except Exception as error:  # whatever it is, the next try is with a client that knows nothing of it
                log.warning("broker_unreachable", reason=f"{type(error).__name__}: {error}", again_in_s=back_off_s)
                back_off_s = min(back_off_s * 2, BACK_OFF_MAX_S)
            await asyncio.sleep(back_off_s * (0.5 + random.random()))

    async def _session(self) -> None:
        settings = self._settings
        client = Client(settings.mqtt_user, clean_session=False)
        client.set_config({"reconnect_retries": NO_RETRIES, "reconnect_delay": 0})
        client.set_auth_credentials(settings.mqtt_user, settings.mqtt_password.get_secret_value())
        self._lost = lost = asyncio.Event()
        client.on_message = self._on_message
        client.on_disconnect = lambda *_: lost.set()
        tls = ssl.create_default_context(cafile=str(settings.mqtt_tls_ca)) if settings.mqtt_tls_ca else False
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await client.connect(
                    settings.mqtt_host, settings.mqtt_port, ssl=tls, keepalive=KEEPALIVE_S, version=MQTTv311
                )
            client.subscribe([Subscription(topic, qos=QOS) for topic in self._topics])
            self._client = client
            self.connected.set()
            log.info("broker_connected", host=settings.mqtt_host, port=settings.mqtt_port)
            self._post(Tick(announce=True))
            await lost.wait()
            log.warning("broker_lost")
        finally:
            self._client = None
            self.connected.clear()
            with suppress(Exception):  # it is being thrown away
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await client.disconnect()

    def _on_message(self, _client: Any, topic: Any, payload: bytes, _qos: int, properties: dict[str, Any]) -> None:
        name = topic if isinstance(topic, str) else repr(topic)
        self._post(self._intake.read(name, bytes(payload), retained=bool(properties.get("retain"))))

    async def _tick(self) -> None:
        since_announce_s = 0.0
        while True:
            await asyncio.sleep(TICK_S)
            since_announce_s += TICK_S
            announce = since_announce_s >= ANNOUNCE_S
            if announce:
                since_announce_s = 0.0
            if self.connected.is_set():
                self._post(Tick(announce))
