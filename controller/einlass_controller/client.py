"""How the command line reaches a controller: over HTTP when one runs, else the same application in this process.

So every command does what the API does, by the same rules, whether the controller is up or not.
"""

import asyncio
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from einlass_controller.settings import API_KEY_FILE, SETTINGS_FILE, Settings, SettingsError, read_settings

TIMEOUT_S = 10.0
LONG_TIMEOUT_S = 600.0
PREFIX = "/api/v1"
PIECE_BYTES = 64 * 1024


class Refused(RuntimeError):
    """The controller said no; the text says why. detail: its answer."""

    def __init__(self, status: int, body: bytes) -> None:
        try:
            detail = json.loads(body)
        except ValueError:
            detail = {"detail": body[:500].decode(errors="replace")}
        self.status = status
        self.detail: dict[str, Any] = detail if isinstance(detail, dict) else {"detail": detail}
        said = self.detail.get("detail", self.detail)
        super().__init__(said if isinstance(said, str) else json.dumps(said))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Client:
    """Calls the API of the site in a directory. Raises SettingsError, Refused, OSError, and what opening one raises."""

    def __init__(self, directory: Path) -> None:
        self._settings: Settings = read_settings(directory / SETTINGS_FILE)
        try:
            self._key = (directory / API_KEY_FILE).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"no API key: {error}. `einlass controller setup` makes one") from error

    def call(self, method: str, path: str, body: Any = None, content: tuple[str, Path] | None = None) -> Answer:
        """body: sent as JSON. content: (media type, file to send)."""
        media = "application/json" if content is None else content[0]
        headers = {"Content-Type": media, "Authorization": f"Bearer {self._key}"}
        data: Any = None if body is None else json.dumps(body).encode()
        from einlass_controller.store.database import DatabaseBusyError

        try:
            answer = asyncio.run(self._in_process(method, path, headers, data, content))
        except DatabaseBusyError:
            # Only then is it our controller that listens there, and not whoever else has taken the port.
            answer = self._over_http(method, path, headers, data, content)
        if answer.status >= 400:
            raise Refused(answer.status, answer.body)
        return answer

    def _over_http(
        self, method: str, path: str, headers: dict[str, str], data: bytes | None, content: tuple[str, Path] | None
    ) -> Answer:
        settings = self._settings
        address = f"http://{settings.http_host}:{settings.http_port}{PREFIX}{path}"
        long = content is not None or "export" in path
        try:
            if content is None:
                request = urllib.request.Request(address, data, headers, method=method)
                with urllib.request.urlopen(request, timeout=LONG_TIMEOUT_S if long else TIMEOUT_S) as answer:
                    return Answer(answer.status, answer.read())
            size = content[1].stat().st_size
            with content[1].open("rb") as file:
                more = {**headers, "Content-Length": str(size)}
                request = urllib.request.Request(address, file, more, method=method)
                with urllib.request.urlopen(request, timeout=LONG_TIMEOUT_S) as answer:
                    return Answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read())

    async def _in_process(
        self, method: str, path: str, headers: dict[str, str], data: bytes | None, content: tuple[str, Path] | None
    ) -> Answer:
        from einlass_controller.api.app import make_app
        from einlass_controller.runtime import open_controller

        controller = open_controller(self._settings)
        await controller.writer.start()
        try:
            return await _ask(make_app(controller), method, PREFIX + path, headers, _pieces(data, content))
        finally:
            await controller.writer.stop()
            controller.close()


def _pieces(data: bytes | None, content: tuple[str, Path] | None) -> Iterator[bytes]:
    if content is None:
        yield data or b""
        return
    with content[1].open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


async def _ask(app: Any, method: str, path: str, headers: dict[str, str], pieces: Iterator[bytes]) -> Answer:
    """One request to an ASGI application."""
    plain, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": urllib.parse.unquote(plain),
        "raw_path": plain.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
    }
    status = 0
    found = bytearray()
    over = asyncio.Event()

    sent_all = False

    async def receive() -> dict[str, Any]:
        nonlocal sent_all
        if sent_all:
            await over.wait()
            return {"type": "http.disconnect"}
        piece = next(pieces, None)
        sent_all = piece is None
        return {"type": "http.request", "body": piece or b"", "more_body": not sent_all}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        elif message["type"] == "http.response.body":
            found.extend(message.get("body", b""))
            if not message.get("more_body", False):
                over.set()

    await app(scope, receive, send)
    return Answer(status, bytes(found))
