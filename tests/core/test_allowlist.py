"""The list of valid tickets: found without loading it, changed in order, whole after a power cut at any point."""

import binascii

from einlass_core.allowlist import LIST, NEWS, NEWS_MAX, AllowList
from einlass_core.codes import digest
from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class PowerCut(Exception):
    """The store stops here."""


class MemoryFiles:
    """Files in memory; `steps_left` many writes and renames, then the power goes (and half of a write is there)."""

    def __init__(self, steps_left: int = 1_000_000) -> None:
        self.data: "dict[str, bytes]" = {}
        self.steps_left = steps_left
        self.full = False

    def step(self) -> None:
        if self.full:
            raise OSError(28)
        self.steps_left -= 1
        if self.steps_left < 0:
            raise PowerCut

    def open(self, name: str, mode: str) -> "MemoryFile":
        if mode == "rb" and name not in self.data:
            raise OSError(2)
        if mode == "wb":
            self.data[name] = b""
        return MemoryFile(self, name)

    def rename(self, old: str, new: str) -> None:
        self.step()
        self.data[new] = self.data.pop(old)

    def sync(self, file: "MemoryFile") -> None:
        self.step()


class MemoryFile:
    def __init__(self, files: MemoryFiles, name: str) -> None:
        self.files = files
        self.name = name
        self.at = 0
        self.reads = 0

    def __enter__(self) -> "MemoryFile":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (len(self.files.data.get(self.name, b"")) if whence == 2 else 0)
        return self.at

    def read(self, size: int = -1) -> bytes:
        data = self.files.data.get(self.name, b"")
        end = len(data) if size < 0 else self.at + size
        found = data[self.at : end]
        self.at += len(found)
        return found

    def write(self, data: bytes) -> int:
        before = self.files.data.get(self.name, b"")
        self.files.data[self.name] = before + data[: len(data) // 2]
        self.files.step()
        self.files.data[self.name] = before + data
        return len(data)


def entries(*pairs: "tuple[str, int]") -> str:
    return "".join(["%s%02x" % pair for pair in pairs])


def at(added: int, removed: int) -> "dict[str, int]":
    return {"added": added, "removed": removed}


def message(since: "dict[str, int]", to: "dict[str, int]", *pairs: "tuple[str, int]", **more: bool) -> "dict[str, Any]":
    fields: "dict[str, Any]" = {"since": since, "to": to, "entries": entries(*pairs)}
    fields.update(more)
    return fields


def whole(digests: "list[str]", files: "MemoryFiles | None" = None) -> "tuple[AllowList, MemoryFiles]":
    files = files or MemoryFiles()
    found = AllowList(files)
    pairs = [(each, 1) for each in sorted(digests)]
    assert found.take(message(at(0, 0), at(0, 1), *pairs[:2], start=True))
    assert found.take(message(at(0, 1), at(0, 2), *pairs[2:4]))
    assert found.take(message(at(0, 2), at(9, 3), *pairs[4:], end=True))
    return found, files


DIGESTS = [digest("code %d" % number) for number in range(50)]


def test_a_whole_list_finds_what_is_on_it_and_nothing_else() -> None:
    found, files = whole(DIGESTS)
    for again in (found, AllowList(files)):
        assert again.version() == at(9, 3)
        assert [again.persons(each) for each in DIGESTS] == [1] * 50
        assert again.persons(digest("another")) == 0


def test_changes_follow_one_another_or_are_not_taken() -> None:
    found, files = whole(DIGESTS)
    assert not found.take(message(at(8, 3), at(10, 3), (digest("new"), 2)))
    assert found.take(message(at(9, 3), at(10, 3), (digest("new"), 2)))
    assert found.take(message(at(10, 3), at(10, 4), (DIGESTS[7], 0)))
    assert not found.take(message(at(9, 3), at(11, 3), (DIGESTS[7], 1))), "what was taken off does not come back late"
    for again in (found, AllowList(files)):
        assert (again.persons(digest("new")), again.persons(DIGESTS[7]), again.persons(DIGESTS[8])) == (2, 0, 1)
        assert again.version() == at(10, 4)


def test_a_piece_of_a_whole_list_out_of_turn_is_not_taken() -> None:
    found = AllowList(MemoryFiles())
    assert found.take(message(at(0, 0), at(0, 1), (DIGESTS[0], 1), start=True))
    assert not found.take(message(at(0, 2), at(0, 3), (DIGESTS[1], 1)))
    assert not found.take(message(at(0, 1), at(5, 1), (DIGESTS[1], 1))), "a change is no piece"
    assert found.persons(DIGESTS[0]) == 0, "half a list is none"


def test_many_changes_are_merged_into_the_file() -> None:
    found, files = whole(DIGESTS)
    new = [digest("new %d" % number) for number in range(NEWS_MAX)]
    for number, each in enumerate(new):
        assert found.take(message(at(9 + number, 3), at(10 + number, 3), (each, 3), (DIGESTS[number % 40], 0)))
    while found.work():
        pass
    assert len(files.data.get(NEWS, b"")) < 1000
    for again in (found, AllowList(files)):
        assert [again.persons(each) for each in new] == [3] * NEWS_MAX
        assert [again.persons(each) for each in DIGESTS] == [0] * 40 + [1] * 10
    body = files.data[LIST][:-16]
    kept = [body[start : start + 9] for start in range(0, len(body), 9)]
    assert kept == sorted(kept)


def record(found: AllowList, kind: str, **fields: str) -> None:
    """As both shells do: the list before the record, and once more when it is durable."""
    found.recorded(kind, fields)
    found.kept()


def test_used_here_is_used_also_after_a_restart_until_given_back() -> None:
    found, files = whole(DIGESTS)
    record(found, "released", digest=DIGESTS[3])
    assert (found.persons(DIGESTS[3]), AllowList(files).persons(DIGESTS[3])) == (0, 0)
    record(found, "unused")
    assert (found.persons(DIGESTS[3]), AllowList(files).persons(DIGESTS[3])) == (1, 1)
    record(found, "released", digest=DIGESTS[3])
    record(found, "passed")
    record(found, "unused")
    assert (found.persons(DIGESTS[3]), AllowList(files).persons(DIGESTS[3])) == (0, 0)


def test_a_ticket_is_not_given_back_before_its_record_is_durable() -> None:
    """Else a power cut between the two leaves it on the list, and its bearer counted as one who may be inside."""
    found, files = whole(DIGESTS)
    record(found, "released", digest=DIGESTS[3])
    found.recorded("unused", {})
    assert (found.persons(DIGESTS[3]), AllowList(files).persons(DIGESTS[3])) == (0, 0)
    found.kept()
    assert (found.persons(DIGESTS[3]), AllowList(files).persons(DIGESTS[3])) == (1, 1)


def test_a_ticket_that_cannot_be_given_back_stays_off_the_list() -> None:
    found, files = whole(DIGESTS)
    record(found, "released", digest=DIGESTS[3])
    found.recorded("unused", {})
    files.full = True
    found.kept()
    files.full = False
    found.kept()
    assert (found.persons(DIGESTS[3]), AllowList(files).persons(DIGESTS[3])) == (0, 0)


def test_what_happens_on_the_way_out_says_nothing_of_who_was_let_in() -> None:
    found, files = whole(DIGESTS)
    record(found, "released", digest=DIGESTS[3], side="entry")
    record(found, "unused", side="exit")
    assert (found.persons(DIGESTS[3]), AllowList(files).persons(DIGESTS[3])) == (0, 0)
    record(found, "passed", side="exit")
    record(found, "unused", side="entry")
    assert (found.persons(DIGESTS[3]), AllowList(files).persons(DIGESTS[3])) == (1, 1)


def play(files: MemoryFiles) -> "list[set[str]]":
    """What should be on the list before and after each step, until the power goes."""
    states: "list[set[str]]" = [set(), set(DIGESTS[:6])]
    try:
        found, _ = whole(DIGESTS[:6], files)
        for number in range(NEWS_MAX + 3):
            before = found.version()
            gone, new = DIGESTS[number % 6], digest("new %d" % (number % 9))
            if number % 7:
                states.append((states[-1] - {gone}) | {new})
                found.take(message(before, at(before["added"] + 1, before["removed"] + 1), (gone, 0), (new, 1)))
            else:
                states.append(states[-1] - {gone})
                found.recorded("released", {"digest": gone})
            found.work()
    except PowerCut:
        pass
    return states


def test_a_power_cut_at_any_point_leaves_the_list_before_or_after() -> None:
    names = DIGESTS[:6] + [digest("new %d" % number) for number in range(9)]
    for cut in range(420):
        files = MemoryFiles(cut)
        states = play(files)
        files.steps_left = 1_000_000
        again = AllowList(files)
        listed = {each for each in names if again.persons(each)}
        assert listed in states[-2:], cut
        version = again.version()
        entry = (names[0], 1)
        assert again.take(message(version, at(version["added"] + 1, version["removed"] + 1), entry)) or not any(
            version.values()
        )


def test_entries_cut_in_the_middle_are_not_taken() -> None:
    found, _ = whole(DIGESTS)
    fields = message(at(9, 3), at(10, 3))
    fields["entries"] = binascii.hexlify(b"12345").decode()
    assert not found.take(fields)
