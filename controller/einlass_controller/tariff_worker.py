"""Anybody's tariff is worked out in a process of its own, which may be stopped: lanes and tills never wait for it.

As a program: questions as JSON on standard input, a line each, and their answers on standard output.
"""

import asyncio
import json
import os
import resource
import select
import sys
from contextlib import suppress
from typing import Any

SECONDS_MAX = 120.0
# The processor's time, should whoever started it be gone.
CPU_SECONDS_MAX = 130
MEMORY_BYTES_MAX = 1_500_000_000
WORKERS_MAX = 1
WAITING_MAX = 4
NICE = 5
ANSWER_BYTES_MAX = 32 * 1024 * 1024
# A process that nobody asks ends; the next question starts another one.
IDLE_S = 60.0


class WorkerError(Exception):
    """There is no answer: too many ask, or it took too long. text: German and English."""

    def __init__(self, german: str, english: str, is_busy: bool) -> None:
        super().__init__(english)
        self.words = (german, english)
        self.is_busy = is_busy


class Workers:
    """Answers questions of tariff_questions one by one, in a process that is stopped after two minutes of work."""

    def __init__(self, seconds_max: float = SECONDS_MAX) -> None:
        self._seconds_max = seconds_max
        self._free = asyncio.Semaphore(WORKERS_MAX)
        self._waiting = 0
        self._process: asyncio.subprocess.Process | None = None

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
                return await self._run(json.dumps(question).encode() + b"\n")
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Stop the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _run(self, question: bytes) -> dict[str, Any]:
        done = False
        try:
            said = await asyncio.wait_for(self._talk(question), self._seconds_max)
            found: dict[str, Any] = json.loads(said)
            done = True
        except TimeoutError as error:
            seconds = round(self._seconds_max)
            raise WorkerError(
                f"Das dauert länger als {seconds} Sekunden: bitte weniger Parkvorgänge, oder ein einfacherer Tarif.",
                f"That took more than {seconds} seconds: please use fewer stays, or a simpler tariff.",
                is_busy=False,
            ) from error
        except (ValueError, OSError) as error:
            raise WorkerError(
                "Das ließ sich nicht ausrechnen (zu viel Speicher?): bitte weniger auf einmal.",
                "That could not be worked out (too much memory?): please use less at once.",
                is_busy=False,
            ) from error
        finally:
            if not done:
                await self.close()
        return found

    async def _talk(self, question: bytes) -> bytes:
        """One line there, one line back; from a new process where the last one has ended (it does when nobody asks)."""
        for _ in range(2):
            is_new = self._process is None
            if self._process is None:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "einlass_controller.tariff_worker",
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.DEVNULL,
                    limit=ANSWER_BYTES_MAX,
                )
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            said = b""
            with suppress(ConnectionError):
                self._process.stdin.write(question)
                await self._process.stdin.drain()
                said = await self._process.stdout.readline()
            if said or is_new:
                return said
            await self.close()
        return b""


def main() -> None:
    """Answer questions, a line each, until there are no more or nobody has asked for a while."""
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    from einlass_controller.tariff_questions import answer

    while select.select([sys.stdin.buffer], [], [], IDLE_S)[0]:
        line = sys.stdin.buffer.readline()
        if not line:
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime) + CPU_SECONDS_MAX
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
