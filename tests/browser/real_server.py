"""A controller that answers a real browser."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from einlass_controller.api.app import make_app
from einlass_controller.runtime import open_controller
from einlass_controller.settings import read_settings
from einlass_sim.processes import free_port, wait_until

START_S_MAX = 40.0
CHROMIUM = "/usr/bin/chromium"
QUIET_CHROMIUM = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


@contextmanager
def serving(settings: Path) -> Iterator[str]:
    """The address of a controller with these settings."""
    port = free_port()
    controller = open_controller(read_settings(settings))
    server = uvicorn.Server(uvicorn.Config(make_app(controller), host="127.0.0.1", port=port, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, START_S_MAX, "the controller listens")
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(START_S_MAX)
    controller.close()
