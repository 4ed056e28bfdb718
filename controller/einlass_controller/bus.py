"""MQTT in and out. A broken connection gets a new client: what is worth sending is made again from state."""

import asyncio
import random
import ssl
from collections.abc import Callable

import structlog

from einlass_controller.intake import Intake
from einlass_controller.messages import Message, Outbound, Tick
from einlass_controller.mqtt import Client, MqttError, Publication
from einlass_controller.settings import Settings
from einlass_core import wire

CONNECT_TIMEOUT_S = 5.0
KEEPALIVE_S = 10
BACK_OFF_MIN_S = 0.1
BACK_OFF_MAX_S = 5.0
TICK_S = 0.5
ANNOUNCE_S = 10.0

log = structlog.get_logger("einlass.bus")


class Bus:
    """Keeps one connection to the broker for ever. `post` takes what comes in, as much as one read brought."""

    def __init__(self, settings: Settings, site: str, intake: Intake, post: Callable[[list[Message]], None]) -> None:
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
        if client is None or not outbound:
            return
        try:
            client.publish(outbound)
        except MqttError as error:
            log.warning("publish_failed", reason=str(error))
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
        self._lost = lost = asyncio.Event()

        def end(reason: str) -> None:
            log.warning("broker_lost", reason=reason)
            lost.set()

        client = Client(self._heard, end)
        tls = ssl.create_default_context(cafile=str(settings.mqtt_tls_ca)) if settings.mqtt_tls_ca else None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await client.connect(
                    settings.mqtt_host,
                    settings.mqtt_port,
                    name=settings.mqtt_user,
                    user=settings.mqtt_user,
                    password=settings.mqtt_password.get_secret_value(),
                    keepalive_s=KEEPALIVE_S,
                    clean=False,
                    tls=tls,
                )
                # What the broker kept for us comes before it agrees to anything, and is answered at once.
                self._client = client
                await client.subscribe(self._topics)
            self.connected.set()
            log.info("broker_connected", host=settings.mqtt_host, port=settings.mqtt_port)
            self._post([Tick(announce=True)])
            await lost.wait()
        finally:
            self._client = None
            self.connected.clear()
            client.close()

    def _heard(self, found: list[Publication]) -> None:
        read = self._intake.read
        self._post([read(topic, payload, retained) for topic, payload, retained in found])

    async def _tick(self) -> None:
        since_announce_s = 0.0
        while True:
            await asyncio.sleep(TICK_S)
            since_announce_s += TICK_S
            announce = since_announce_s >= ANNOUNCE_S
            if announce:
                since_announce_s = 0.0
            if self.connected.is_set():
                self._post([Tick(announce)])
