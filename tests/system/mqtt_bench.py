"""A node for tests of the MQTT client: a MicroPython process told what to do by JSON lines (mqtt_on_micropython.py)."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from einlass_controller.broker import controller_user, new_password, node_user
from einlass_core.wire import topic_down, topic_state, topic_up

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = Path(sys.executable).with_name("micropython")
DRIVER = ROOT / "tests" / "system" / "mqtt_on_micropython.py"
HEAP = "120K"
# Connecting, subscribing and a round trip of QoS 1 from .py source; compiling mqtt.py is the peak. 72K was measured.
SMALLEST_HEAP = "80K"
DEADLINE_S = 40.0
ECHOES = 60
# What the fastest quarter of echoes takes at most, on a busy machine too; without TCP_NODELAY every one takes 44 ms.
ECHO_QUARTER_MS_MAX = 30.0

CONTROLLER = controller_user(new_password())
GATE = node_user("pool", "gate-1", new_password())
DOWN = topic_down("pool", "gate-1", "answer")
UP = topic_up("pool", "gate-1", "event")
STATE = topic_state("pool", "gate-1")
WILL = [STATE, '{"online":false}', 1, True]


class Node:
    """The client in a MicroPython process; also a context manager that ends it."""

    def __init__(self, port: int, *, heap: str = HEAP, **arguments: Any) -> None:
        given = {
            "host": "127.0.0.1",
            "port": port,
            "client_id": GATE.name,
            "user": GATE.name,
            "password": GATE.password,
            "connect_timeout_ms": 1000,
            "keepalive_s": 4,
            "backoff_ms": [100, 500],
            **arguments,
        }
        self.events: list[list[Any]] = []
        self._arrived: queue.Queue[list[Any]] = queue.Queue()
        self.process = subprocess.Popen(
            [str(MICROPYTHON), "-X", f"heapsize={heap}", str(DRIVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={
                "MICROPYPATH": f"{ROOT}/firmware/lib:.frozen",
                "PATH": os.environ["PATH"],
                "CLIENT_ARGUMENTS": json.dumps(given),
            },
        )
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            text = line.decode("utf-8", "replace").strip()
            self._arrived.put(json.loads(text) if text.startswith("[") else ["said", text])

    def tell(self, *command: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        self.process.stdin.flush()

    def expect(self, *start: Any, deadline_s: float = DEADLINE_S) -> list[Any]:
        """The next event that begins so; those before it are passed over."""
        end = time.monotonic() + deadline_s
        while True:
            try:
                event = self._arrived.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {start} within {deadline_s:g} s, only {self.events[-20:]}") from None
            self.events.append(event)
            if event[: len(start)] == list(start):
                return event

    def ask(self, *command: Any) -> Any:
        """A command and the value it is answered with."""
        answer = {"publish": "taken", "subscribe": "subscribed", "stats": "stats"}[command[0]]
        self.tell(*command)
        return self.expect(answer)[1]

    def publish(self, text: str, qos: int = 1, topic: str = UP) -> bool:
        return bool(self.ask("publish", topic, text, qos, False))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._thread.join(5)
