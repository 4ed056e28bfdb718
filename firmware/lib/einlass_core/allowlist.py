"""The list of valid tickets at a lane that may be cut off: digests in a file, sorted, bisected without loading it.

It comes whole, in pieces in the order of the digests (`start`, pieces whose version has added 0, `end`), and then as
changes, each of which names the version that it follows.

An entry is 9 bytes: 8 of the code's digest, 1 for the persons it lets in (0: nobody, the ticket is off the list). The
file `list` holds them in order and ends in 16 bytes: what it is made of (VERSION), a mark, and a checksum of these.
What has changed since is in `list.news`, one block a message; enough news are merged into a new file, a little at each
work(), because a board writes 450 kB for ten seconds and a lane must not stand still for that. Nothing of either is
kept in memory. A digest is on the list with what the news say last, else with what the file says.

Neither codes nor names are here: whoever steals the node has numbers that open nothing without the code itself.

files: open(name, mode) as the built-in one, rename(old, new), sync(file): on the disk when it returns.
"""

import binascii
import struct

from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

LIST = "list"
NEWS = "list.news"
FRESH = "list.new"
CUT = "list.cut"
DIGEST_BYTES = 8
ENTRY_BYTES = 9
EIO = 5
NEWS_MAX = 64  # entries; then they are merged, which writes the whole file anew
NEWS_WAITING_MAX = 128  # while that has not been done no more are taken, but those of the lane itself
CHUNK_BYTES = 576  # of the file at once while merging
_TRAILER = ">4sII"
_TRAILER_BYTES = 16
_MARK = b"EL1\n"
_HEAD = ">BII"
_HEAD_BYTES = 9
_CHECK_BYTES = 4


class AllowList:
    """`added`, `removed`: up to which change the list is known; both 0: there is none.

    used: the digest that let somebody in last, and for how many it stood on the list.
    """

    def __init__(self, files: "Any") -> None:
        self._files = files
        self.used = self._back = (b"", 0)
        self._told_ms = 0
        self.added = self.removed = 0
        self._count = 0  # entries of the file
        self._start = self._end = 0  # of the news that count, in their file
        self._waiting = 0  # entries of the news
        self._merging: "Any" = None
        self._fresh: "Any" = None  # while a whole list comes in
        self._pieces = 0  # of it
        self._load()

    def version(self) -> "dict[str, int]":
        """As the controller asks for it: what is known, or how far a whole list has come."""
        if self._fresh is not None:
            return {"added": 0, "removed": self._pieces}
        return {"added": self.added, "removed": self.removed}

    def status(self, now_ms: int) -> "dict[str, int]":
        """As a status says it: the version, and how long ago the controller said that it is the newest."""
        fields = self.version()
        fields["age_ms"] = now_ms - self._told_ms
        return fields

    def persons(self, digest: str) -> int:
        """How many a ticket with this digest (16 hex digits) lets in; 0: it is not on the list."""
        wanted = binascii.unhexlify(digest)
        try:
            entry = self._news_from(wanted, self._end)
            if entry[:DIGEST_BYTES] != wanted:
                entry = self._bisect(wanted)
        except OSError:
            return 0
        return entry[DIGEST_BYTES] if entry else 0

    def recorded(self, kind: str, fields: "dict[str, Any]") -> None:
        """Call it before each record of the lane: who is let in alone is not let in here again, also after a restart.

        OSError: it cannot be kept, so the record must not be either.
        """
        if fields.get("side") == "exit":
            return
        digest, persons = self.used
        if kind == "released" and "digest" in fields:
            digest = binascii.unhexlify(fields["digest"])
            persons = self.persons(fields["digest"])
            self.used = (digest, persons)
            if persons:
                self._tell(digest + b"\x00", self.added, self.removed)
        elif kind in ("released", "passed", "given_up", "unused"):
            self.used = (b"", 0)
            if persons and kind != "passed" and kind != "released":
                self._back = (digest, persons)

    def kept(self) -> None:
        """Call it when a record is durable: only now a ticket with which nobody went through is on the list again.

        The other way round a power cut would leave it there while the lane counts somebody who may have gone through.
        """
        digest, persons = self._back
        self._back = (b"", 0)
        if persons:
            try:
                self._tell(digest + bytes([persons]), self.added, self.removed)
            except OSError:
                pass  # Off the list is the safe side; the controller tells what holds when it hears of it.

    def take(self, fields: "dict[str, Any]", now_ms: int = 0) -> bool:
        """A `list` message; False when it does not follow what is known. OSError when it cannot be kept."""
        to = fields["to"]
        entries = binascii.unhexlify(fields["entries"])
        if len(entries) % ENTRY_BYTES:
            return False
        if not fields.get("start") and fields["since"] != self.version():
            return False
        if fields.get("start") or fields.get("end") or not to["added"]:
            if not self._take_piece(fields, entries):
                return False
        elif entries:
            if self._fresh is not None or not self.added or self._waiting > NEWS_WAITING_MAX:
                return False
            self._tell(entries, to["added"], to["removed"])
        elif to != self.version():  # Nothing is new: that is news, too, but none to write down.
            return False
        self._told_ms = now_ms
        return True

    def work(self) -> bool:
        """A little of what is to be done; False when nothing is. OSError: it could not be, and is tried again later."""
        if self._merging is None:
            if self._waiting < NEWS_MAX or self._fresh is not None:
                return False
            self._merging = self._merge()
        try:
            next(self._merging)
        except StopIteration:
            self._merging = None
        except OSError:
            self._stop_merging()
            self._files.open(FRESH, "wb").close()  # The room that it took may be the last.
            raise
        return self._merging is not None

    def _take_piece(self, fields: "dict[str, Any]", entries: bytes) -> bool:
        if fields.get("start"):
            self._stop_merging()
            if self._fresh is not None:
                self._fresh.close()
            self._fresh = self._files.open(FRESH, "wb")
        elif self._fresh is None:
            return False
        file = self._fresh
        try:
            file.write(entries)
            self._pieces = fields["to"]["removed"]
            if fields.get("end"):
                self._fresh = None
                self._publish(file, fields["to"]["added"], fields["to"]["removed"])
                self._keep_news(self._end)
                self._load()
        except OSError:
            self._fresh = None
            file.close()
            raise
        return True

    def _news_from(self, low: bytes, end: int) -> bytes:
        """The last word on the first digest not below `low`, in the news up to `end`; empty when there is none."""
        found = b""
        at = self._start
        if at < end:
            with self._files.open(NEWS, "rb") as file:
                while at < end:
                    file.seek(at)
                    head = file.read(_HEAD_BYTES)
                    if not head:
                        raise OSError(EIO)
                    count = head[0]
                    at += _HEAD_BYTES + count * ENTRY_BYTES + _CHECK_BYTES
                    for _ in range(count):
                        entry = file.read(ENTRY_BYTES)
                        if low <= entry[:DIGEST_BYTES] and (not found or entry[:DIGEST_BYTES] <= found[:DIGEST_BYTES]):
                            found = entry
        return found

    def _bisect(self, wanted: bytes) -> bytes:
        low = 0
        high = self._count
        if high:
            with self._files.open(LIST, "rb") as file:
                while low < high:
                    middle = (low + high) // 2
                    file.seek(middle * ENTRY_BYTES)
                    entry: bytes = file.read(ENTRY_BYTES)
                    if entry[:DIGEST_BYTES] == wanted:
                        return entry
                    if entry[:DIGEST_BYTES] < wanted:
                        low = middle + 1
                    else:
                        high = middle
        return b""

    def _tell(self, entries: bytes, added: int, removed: int) -> None:
        """News, on the disk when it returns."""
        block = struct.pack(_HEAD, len(entries) // ENTRY_BYTES, added, removed) + entries
        with self._files.open(NEWS, "ab") as file:
            torn = file.seek(0, 2) != self._end
        if torn:  # by a write that failed: what follows it would never be read again
            self._keep_news(self._start)
        with self._files.open(NEWS, "ab") as file:
            file.write(block + _checksum(block))
            self._files.sync(file)
        self._end += len(block) + _CHECK_BYTES
        self._waiting += len(entries) // ENTRY_BYTES
        self.added = added
        self.removed = removed

    def _merge(self) -> "Iterator[None]":
        """Both files into a new one, in order, a chunk in memory at a time."""
        end, added, removed = self._end, self.added, self.removed
        count = self._waiting
        left = self._count * ENTRY_BYTES
        news = self._news_from(b"", end)
        with self._files.open(LIST, "rb") as file, self._files.open(FRESH, "wb") as out:
            while left or news:
                known = file.read(min(left, CHUNK_BYTES))
                left -= len(known)
                begin = at = 0
                while news and (not left or news[:DIGEST_BYTES] <= known[-ENTRY_BYTES:-1]):
                    while at < len(known) and known[at : at + DIGEST_BYTES] < news[:DIGEST_BYTES]:
                        at += ENTRY_BYTES
                    out.write(known[begin:at])
                    if known[at : at + DIGEST_BYTES] == news[:DIGEST_BYTES]:
                        at += ENTRY_BYTES
                    if news[DIGEST_BYTES]:
                        out.write(news)
                    begin = at
                    news = self._news_from(news[:DIGEST_BYTES] + b"\x00", end)
                    yield
                out.write(known[begin:])
                yield
            self._publish(out, added, removed)
        self._waiting -= count
        self._read_list(False)
        self._keep_news(end)

    def _stop_merging(self) -> None:
        if self._merging is not None:
            self._merging.close()
            self._merging = None

    def _publish(self, file: "Any", added: int, removed: int) -> None:
        """The new file takes the old one's place. A crash before the news in it are forgotten does no harm."""
        file.write(_trailer(added, removed))
        self._files.sync(file)
        file.close()
        self._files.rename(FRESH, LIST)

    def _keep_news(self, start: int) -> None:
        """Forget what is before `start`, and what is behind the end."""
        end = self._end
        at = start
        with self._files.open(CUT, "wb") as out:
            if at < end:
                with self._files.open(NEWS, "rb") as file:
                    file.seek(at)
                    while at < end:
                        part = file.read(min(CHUNK_BYTES, end - at))
                        out.write(part)
                        at += len(part)
            self._files.sync(out)
        self._files.rename(CUT, NEWS)
        self._start = 0
        self._end = end - start

    def _load(self) -> None:
        """What the files say."""
        self.added = self.removed = self._count = self._start = self._end = self._waiting = 0
        try:
            self._read_list(True)
            if not self.added:
                return
            with self._files.open(NEWS, "rb") as file:
                size = file.seek(0, 2)
                file.seek(0)
                while self._read_news(file):
                    pass
            if self._end < size:
                self._keep_news(self._start)
        except OSError:
            pass

    def _read_list(self, tells: bool) -> None:
        """How many entries the file has. tells: and which version it is."""
        with self._files.open(LIST, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TRAILER_BYTES))
            trailer = file.read(_TRAILER_BYTES)
        if len(trailer) == _TRAILER_BYTES:
            mark, added, removed = struct.unpack(_TRAILER, trailer[:-_CHECK_BYTES])
            if trailer == _trailer(added, removed) and mark == _MARK:
                self._count = (size - _TRAILER_BYTES) // ENTRY_BYTES
                if tells:
                    self.added = added
                    self.removed = removed

    def _read_news(self, file: "Any") -> bool:
        """A block; False at the end, or at a torn one."""
        head = file.read(_HEAD_BYTES)
        if len(head) < _HEAD_BYTES:
            return False
        count, added, removed = struct.unpack(_HEAD, head)
        entries = file.read(count * ENTRY_BYTES)
        if file.read(_CHECK_BYTES) != _checksum(head + entries):
            return False
        self._end += _HEAD_BYTES + len(entries) + _CHECK_BYTES
        if added < self.added or removed < self.removed:  # from before a list that came since
            self._start = self._end
        else:
            self._waiting += count
            self.added = added
            self.removed = removed
        return True


def _trailer(added: int, removed: int) -> bytes:
    data = struct.pack(_TRAILER, _MARK, added, removed)
    return data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    return struct.pack(">I", binascii.crc32(data) & 0xFFFFFFFF)
