"""Real processes for the demo and the tests: free ports, readiness, bounded logs, and nothing left behind.

A process started here leads a process group of its own, which is killed as a whole, and the kernel kills it when
this program dies (through `setpriv`, where util-linux has it; else only a clean end of this program stops it).
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO, Self

LOOPBACK = "127.0.0.1"
LOG_BYTES_MAX = 2 * 1024 * 1024
LOG_TAIL_LINES = 30
LOG_LINE_BYTES_MAX = 16_384
POLL_S = 0.01
READY_DEADLINE_S = 15.0
TERMINATE_GRACE_S = 5.0
REAP_DEADLINE_S = 10.0

# The kernel ties "my parent died" to the thread that forked, not to the program: so one thread that lives as long as
# the program starts every process.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


class ProcessError(RuntimeError):
    """A process died, or was not ready in time; the message ends with the tail of its log."""


def free_port() -> int:
    """A TCP port on 127.0.0.1 that was free just now; whoever takes it next may still be somebody else."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(predicate: Callable[[], bool], deadline_s: float, what: str) -> None:
    """Ask `predicate` until it says yes; TimeoutError naming `what` after `deadline_s` seconds."""
    end = time.monotonic() + deadline_s
    while not predicate():
        if time.monotonic() >= end:
            raise TimeoutError(f"not within {deadline_s:g} s: {what}")
        time.sleep(POLL_S)


class Process:
    """One program in a process group of its own, with its output in a bounded log file. Also a context manager."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        directory: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """`directory` gets `<name>.log` (and `<name>.log.1` when it was full); `env` is added to this program's."""
        self.name = name
        self.command = list(command)
        self.log_path = directory / f"{name}.log"
        self._env = dict(env or {})
        self._cwd = cwd
        self._popen: subprocess.Popen[bytes] | None = None
        self._log_thread: threading.Thread | None = None
        self._returncode: int | None = None

    def start(self) -> Self:
        """Start the program; it may not be ready yet. ProcessError if it runs already or cannot be started."""
        if self._popen is not None:
            raise ProcessError(f"{self.name} was already started: stop it first")
        try:
            self._popen = _spawner.submit(self._spawn).result()
        except OSError as error:
            raise ProcessError(f"{self.name} cannot be started: {error}") from error
        assert self._popen.stdout is not None
        self._log_thread = threading.Thread(
            target=_keep_log, args=(self._popen.stdout, self.log_path), name=f"log-{self.name}", daemon=True
        )
        self._log_thread.start()
        return self

    def _spawn(self) -> subprocess.Popen[bytes]:
        setpriv = shutil.which("setpriv")
        guard = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv is not None else []
        executable = shutil.which(self.command[0])
        if executable is None:
            raise FileNotFoundError(f"{self.command[0]} is not installed")
        return subprocess.Popen(
            [*guard, executable, *self.command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._cwd,
            env={**os.environ, **self._env},
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Process id, and the id of its group. ProcessError if it is not running."""
        if self._popen is None:
            raise ProcessError(f"{self.name} is not running")
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether the program itself still runs."""
        return self._popen is not None and not self._exited()

    @property
    def returncode(self) -> int | None:
        """How the last run ended (negative: by that signal), or None while it runs or before the first."""
        return self._returncode

    def wait_ready(self, predicate: Callable[[], bool], deadline_s: float = READY_DEADLINE_S) -> Self:
        """Wait until `predicate` says yes. ProcessError if the program ends first or the deadline (seconds) passes."""

        def ready_or_dead() -> bool:
            return predicate() or self._exited()

        try:
            wait_until(ready_or_dead, deadline_s, f"{self.name} is ready")
        except TimeoutError as error:
            raise ProcessError(f"{error}\n{self.log_tail()}") from None
        if self._exited():
            code = self._reap()
            raise ProcessError(f"{self.name} ended with {code} before it was ready\n{self.log_tail()}")
        return self

    def wait(self, deadline_s: float) -> int:
        """Wait until the program ends by itself and return its exit code. ProcessError after `deadline_s` seconds."""
        try:
            wait_until(self._exited, deadline_s, f"{self.name} ends by itself")
        except TimeoutError as error:
            raise ProcessError(f"{error}\n{self.log_tail()}") from None
        return self._reap()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group; nothing happens if it is gone."""
        if self._popen is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, number)

    def kill(self) -> None:
        """kill -9 the whole group, as a power cut would; returns when it is gone."""
        if self._popen is not None:
            self._reap()

    def terminate(self, grace_s: float = TERMINATE_GRACE_S) -> None:
        """Ask the group to end (SIGTERM), kill what is left after `grace_s` seconds; returns when it is gone."""
        if self._popen is None:
            return
        self.signal(signal.SIGTERM)
        # A stopped process would sleep through the request.
        self.signal(signal.SIGCONT)
        with contextlib.suppress(TimeoutError):
            wait_until(self._exited, grace_s, f"{self.name} ends")
        self._reap()

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """The last lines of its output."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, self.log_path.stat().st_size - lines * 400))
                text = log.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])

    def __enter__(self) -> Self:
        return self if self._popen is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terminate()

    def _exited(self) -> bool:
        # Without reaping: while the leader's entry is kept, the number of its group cannot go to somebody else.
        if self._popen is None or self._popen.returncode is not None:
            return True
        return os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None

    def _reap(self) -> int:
        popen = self._popen
        if popen is None:
            return self._returncode if self._returncode is not None else 0
        self.signal(signal.SIGKILL)
        try:
            self._returncode = popen.wait(timeout=REAP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise ProcessError(f"{self.name} (process {popen.pid}) cannot be killed: it hangs in the kernel") from None
        self._popen = None
        if self._log_thread is not None:
            self._log_thread.join(timeout=TERMINATE_GRACE_S)
        return self._returncode


def _keep_log(pipe: IO[bytes], path: Path) -> None:
    """Copy the pipe to the file; full, the file becomes `.1`: the two never hold more than twice the limit."""
    with pipe:
        log = path.open("ab")
        try:
            while line := pipe.readline(LOG_LINE_BYTES_MAX):
                if log.tell() + len(line) > LOG_BYTES_MAX:
                    log.close()
                    path.replace(path.with_name(path.name + ".1"))
                    log = path.open("ab")
                log.write(line)
                log.flush()
        finally:
            log.close()
