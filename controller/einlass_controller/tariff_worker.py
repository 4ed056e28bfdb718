"""Anybody's tariff is worked out in a process of its own, which may be stopped: lanes and tills never wait for it.

As a program: a question as JSON on standard input, its answer on standard output.
"""

import asyncio
import json
import os
import resource
import sys
from contextlib import suppress
from typing import Any

SECONDS_MAX = 60.0
# The processor's time, should whoever started it be gone.
CPU_SECONDS_MAX = 70
MEMORY_BYTES_MAX = 1_500_000_000
WORKERS_MAX = 1
WAITING_MAX = 4
NICE = 10


class WorkerError(Exception):
    """There is no answer: too many ask, or it took too long. text: German and English."""

    def __init__(self, german: str, english: str, is_busy: bool) -> None:
        super().__init__(english)
        self.words = (german, english)
        self.is_busy = is_busy


class Workers:
    """Answers questions of tariff_questions one after the other, each in a process that is stopped after a minute."""

    def __init__(self, seconds_max: float = SECONDS_MAX) -> None:
        self._seconds_max = seconds_max
        self._free = asyncio.Semaphore(WORKERS_MAX)
        self._waiting = 0

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """The answer. Raises WorkerError."""
        if self._waiting >= WAITING_MAX:
            raise WorkerError(
                "Gerade wird schon gerechnet: bitte gleich noch einmal versuchen.",
                "Others are being worked out right now: please try again in a moment.",
                is_busy=True,
            )
        self._waiting += 1
        try:
            async with self._free:
                return await self._run(json.dumps(question).encode())
        finally:
            self._waiting -= 1

    async def _run(self, question: bytes) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "einlass_controller.tariff_worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(question), self._seconds_max)
        except TimeoutError as error:
            seconds = round(self._seconds_max)
            raise WorkerError(
                f"Das dauert länger als {seconds} Sekunden: bitte weniger Parkvorgänge, oder ein einfacherer Tarif.",
                f"That took more than {seconds} seconds: please use fewer stays, or a simpler tariff.",
                is_busy=False,
            ) from error
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        try:
            found: dict[str, Any] = json.loads(said)
        except ValueError as error:
            raise WorkerError(
                "Das ließ sich nicht ausrechnen (zu viel Speicher?): bitte weniger auf einmal.",
                "That could not be worked out (too much memory?): please use less at once.",
                is_busy=False,
            ) from error
        return found


def main() -> None:
    """Answer one question."""
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS_MAX, CPU_SECONDS_MAX))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    from einlass_controller.tariff_questions import answer

    sys.stdout.write(json.dumps(answer(json.load(sys.stdin.buffer))))


if __name__ == "__main__":
    main()
