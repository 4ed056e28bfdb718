"""Seeds by the ten thousand: in several processes, written down by the hundred, gone on with after a kill.

The file is text, a line of JSON each: first what is run and by which code, then what each hundred seeds came to, in
their order. A line that was not written whole is written again.
"""

import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import einlass_controller
import einlass_core
import einlass_sim
import einlass_tariff
from einlass_sim.world import runs
from einlass_sim.world.runs import Totals

PIECE_SEEDS = 100
PIECES_A_JOB = 8  # without a file: so that no process waits long for the last one
Piece = tuple[int, int]  # first and last seed
Told = Callable[[Totals, int, float], None]  # all so far; seeds and seconds of this run


def silent(totals: Totals, fresh: int, wall_s: float) -> None:
    """Nobody waits."""


class FileError(ValueError):
    """The file cannot be gone on with; the text says what to do."""


def run(
    first: int,
    last: int,
    hours: float,
    faults: frozenset[str],
    jobs: int = 1,
    out: Path | None = None,
    told: Told = silent,
) -> Totals:
    """All seeds from `first` to `last`; cpu_s is the sum over all processes. Raises FileError, OSError.

    out: where what is done is kept. told: called for every piece that is done.
    """
    head = {"first": first, "last": last, "hours": hours, "faults": sorted(faults), "code": code_digest()}
    done = _open(out, head) if out is not None else []
    size = PIECE_SEEDS if out is not None or jobs == 1 else max(1, (last - first + 1) // (jobs * PIECES_A_JOB))
    pieces = _pieces(first, last, size)
    totals = Totals()
    for found in done:
        totals.join(found)
    began_s, before = time.monotonic(), totals.seeds
    tasks = [(piece, hours, faults) for piece in pieces[len(done) :]]
    with _processes(jobs) as work:
        for found in work(_play, tasks):
            totals.join(found)
            if out is not None:
                _append(out, found)
            told(totals, totals.seeds - before, time.monotonic() - began_s)
    return totals


def code_digest() -> str:
    """What all sources that a world runs hash to: pieces of two versions are not added up."""
    found = hashlib.blake2b(digest_size=8)
    for package in (einlass_core, einlass_tariff, einlass_controller, einlass_sim):
        folder = Path(str(package.__file__)).parent
        for path in sorted(folder.rglob("*.py")):
            found.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return found.hexdigest()


def _pieces(first: int, last: int, size: int) -> list[Piece]:
    return [(start, min(start + size - 1, last)) for start in range(first, last + 1, size)]


def _play(task: tuple[Piece, float, frozenset[str]]) -> Totals:
    (first, last), hours, faults = task
    return runs.run(range(first, last + 1), hours, faults)


class _processes:
    """Results in the order of the tasks, from so many processes; from this one when it is one."""

    def __init__(self, jobs: int) -> None:
        self._pool = multiprocessing.get_context("spawn").Pool(jobs) if jobs > 1 else None

    def __enter__(self) -> Callable[[Callable[[Any], Totals], Sequence[Any]], Iterator[Totals]]:
        return map if self._pool is None else self._pool.imap

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.terminate()
            self._pool.join()


# -- the file


def _open(out: Path, head: dict[str, Any]) -> list[Totals]:
    """What is done already; a new file gets its first line."""
    whole, done = _read(out) if out.exists() else ({}, [])
    if not whole:
        with out.open("w", encoding="utf-8") as file:
            _write(file, head)
        return []
    for name, wanted in head.items():
        if whole.get(name) != wanted:
            raise FileError(
                f"{out} was begun with {name} {whole.get(name)!r}, now it is {wanted!r}: "
                "write to another file, or go on as it was begun"
            )
    return done


def _read(out: Path) -> tuple[dict[str, Any], list[Totals]]:
    """The first line, and what the others came to. A torn end is cut off."""
    data = out.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    try:
        head, *lines = [json.loads(line) for line in whole.splitlines()] or [{}]
        done = [Totals.of(line) for line in lines]
    except (ValueError, TypeError, KeyError) as error:
        raise FileError(f"{out} is no file of `simulate world --out`: write to another one") from error
    if len(whole) < len(data):
        os.truncate(out, len(whole))
    return head, done


def _append(out: Path, found: Totals) -> None:
    with out.open("a", encoding="utf-8") as file:
        _write(file, found.as_dict())


def _write(file: Any, line: dict[str, Any]) -> None:
    file.write(json.dumps(line) + "\n")
    file.flush()
    os.fsync(file.fileno())
