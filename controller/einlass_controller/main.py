"""Running the controller as a process."""

import gc
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
import uvicorn

from einlass_controller.api.app import make_app
from einlass_controller.runtime import open_controller
from einlass_controller.settings import Settings

STOP_S = 2
CONNECTIONS_MAX = 1_000


def run(settings: Settings) -> None:
    """Serve until told to stop (SIGINT, SIGTERM). Raises what open_controller() raises."""
    set_up_logs(settings)
    controller = open_controller(settings)
    # What is there now stays: the collector need not look through it again, which holds a scan up for 50 ms and more.
    gc.collect()
    gc.freeze()
    config = uvicorn.Config(
        make_app(controller),
        host=settings.http_host,
        port=settings.http_port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_graceful_shutdown=STOP_S,
    )
    structlog.get_logger("einlass").info(
        "controller_starts", site=controller.site.id, http=f"http://{settings.http_host}:{settings.http_port}/"
    )
    try:
        _Server(config).run()
    finally:
        controller.close()


class _Server(uvicorn.Server):
    """Ends with status 0 when told to stop; the original kills itself with the same signal once more."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def set_up_logs(settings: Settings) -> None:
    """One line a record, on standard error; structlog and the libraries' own loggers alike."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    as_json = settings.log_format == "json"
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer] if as_json else [*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
