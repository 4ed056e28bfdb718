"""The list of valid tickets at a lane that may be cut off: digests in a file, sorted, bisected without loading it.

It comes whole, in pieces in the order of the digests (`start`, pieces whose version has added 0, `end`), and then as
changes, each of which names the version that it follows.

An entry is 9 bytes: 8 of the code's digest, 1 for the persons it lets in (0: nobody, the ticket is off the list). The
file `list` holds them in order and ends in 16 bytes: what it is made of (VERSION), a mark, and a checksum of these.
What has changed since is in `list.news`, one block a message, and in memory; enough news are merged into a new file.
A digest is on the list with what the news say last, else with what the file says.

Neither codes nor names are here: whoever steals the node has numbers that open nothing without the code itself.

files: open(name, mode) as the built-in one, rename(old, new), remove(name), sync(file): on the disk when it returns.
"""

import binascii
import struct

from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

LIST = "list"
NEWS = "list.news"
FRESH = "list.new"
DIGEST_BYTES = 8
ENTRY_BYTES = 9
NEWS_MAX = 64  # entries; then they are merged, which writes the whole file anew
CHUNK = 64  # entries copied at once while merging
_TRAILER = ">4sIII"
_TRAILER_BYTES = 16
_MARK = b"EL1\n"
_HEAD = ">BII"
_HEAD_BYTES = 9


class AllowList:
    """`added`, `removed`: up to which change the list is known; both 0: there is none.

    used: the digest that let somebody in last, and for how many it stood on the list.
    """

    def __init__(self, files: "Any") -> None:
        self._files = files
        self._count = 0
        self._news = b""
        self.used = (b"", 0)
        self._writing = 0  # entries in FRESH while a whole list comes in
        self.added = 0
        self.removed = 0
        self._load()

    def version(self) -> "dict[str, int]":
        """As the controller asks for it: what is known, or how far a whole list has come."""
        if self._writing:
            return {"added": 0, "removed": self._writing}
        return {"added": self.added, "removed": self.removed}

    def persons(self, digest: str) -> int:
        """How many a ticket with this digest (16 hex digits) lets in; 0: it is not on the list."""
        wanted = binascii.unhexlify(digest)
        at = self._in_news(wanted)
        if at >= 0:
            return self._news[at + DIGEST_BYTES]
        if not self._count:
            return 0
        with self._files.open(LIST, "rb") as file:
            return self._bisect(file, wanted)

    def recorded(self, kind: str, fields: "dict[str, Any]") -> None:
        """Call it before each record of the lane: who is let in alone is not let in here again, also after a restart.

        Unless nobody went through. OSError: it cannot be kept, so the record must not be either.
        """
        if fields.get("side") == "exit":
            return
        digest, persons = self.used
        if kind == "released" and "digest" in fields:
            digest = binascii.unhexlify(fields["digest"])
            self.used = (digest, self.persons(fields["digest"]))
            self._tell(digest + b"\x00", self.added, self.removed)
        elif kind in ("released", "passed", "given_up", "unused"):
            self.used = (b"", 0)
            if persons and kind != "passed" and kind != "released":
                self._tell(digest + bytes([persons]), self.added, self.removed)

    def take(self, fields: "dict[str, Any]") -> bool:
        """A `list` message; False when it does not follow what is known. OSError when it cannot be kept."""
        to = fields["to"]
        entries = binascii.unhexlify(fields["entries"])
        if len(entries) % ENTRY_BYTES:
            return False
        if fields.get("start"):
            self._writing = 0
        elif fields["since"] != self.version():
            return False
        whole = fields.get("start") or fields.get("end") or not to["added"]
        if not whole:
            if self._writing:
                return False
            if not entries:  # Nothing is new: that is news, too, but none to write down.
                return to == self.version()  # type: ignore[no-any-return]
            self._tell(entries, to["added"], to["removed"])
            return True
        with self._files.open(FRESH, "ab" if self._writing else "wb") as file:
            file.write(entries)
            if fields.get("end"):
                file.write(_trailer(to["added"], to["removed"]))
            self._files.sync(file)
        if fields.get("end"):
            self._publish()
        else:
            self._writing = to["removed"]
        return True

    def _in_news(self, digest: bytes) -> int:
        at = self._news.find(digest)
        while at >= 0 and at % ENTRY_BYTES:
            at = self._news.find(digest, at + 1)
        return at

    def _bisect(self, file: "Any", wanted: bytes) -> int:
        low = 0
        high = self._count
        while low < high:
            middle = (low + high) // 2
            file.seek(middle * ENTRY_BYTES)
            entry = file.read(ENTRY_BYTES)
            found = entry[:DIGEST_BYTES]
            if found == wanted:
                return int(entry[DIGEST_BYTES])
            if found < wanted:
                low = middle + 1
            else:
                high = middle
        return 0

    def _tell(self, entries: bytes, added: int, removed: int) -> None:
        """News: first on the disk, then here."""
        head = struct.pack(_HEAD, len(entries) // ENTRY_BYTES, added, removed)
        block = head + entries
        with self._files.open(NEWS, "ab") as file:
            file.write(block + struct.pack(">I", binascii.crc32(block) & 0xFFFFFFFF))
            self._files.sync(file)
        self._learn(entries)
        self.added = added
        self.removed = removed
        if len(self._news) >= NEWS_MAX * ENTRY_BYTES:
            self._merge()

    def _learn(self, entries: bytes) -> None:
        for start in range(0, len(entries), ENTRY_BYTES):
            entry = entries[start : start + ENTRY_BYTES]
            at = self._in_news(entry[:DIGEST_BYTES])
            if at >= 0:
                self._news = self._news[:at] + self._news[at + ENTRY_BYTES :]
            self._news += entry

    def _merge(self) -> None:
        """Both files into a new one, in order, a few entries in memory at a time."""
        news = sorted(self._news[at : at + ENTRY_BYTES] for at in range(0, len(self._news), ENTRY_BYTES))
        news.reverse()
        with self._files.open(FRESH, "wb") as out:
            if self._count:
                with self._files.open(LIST, "rb") as file:
                    for start in range(0, self._count, CHUNK):
                        known = file.read(min(CHUNK, self._count - start) * ENTRY_BYTES)
                        for at in range(0, len(known), ENTRY_BYTES):
                            entry = known[at : at + ENTRY_BYTES]
                            while news and news[-1][:DIGEST_BYTES] < entry[:DIGEST_BYTES]:
                                _write(out, news.pop())
                            if news and news[-1][:DIGEST_BYTES] == entry[:DIGEST_BYTES]:
                                entry = news.pop()
                            _write(out, entry)
            while news:
                _write(out, news.pop())
            out.write(_trailer(self.added, self.removed))
            self._files.sync(out)
        self._publish()

    def _publish(self) -> None:
        """The new file takes the old one's place; then the news are in it. A crash between the two does no harm."""
        self._files.rename(FRESH, LIST)
        self._writing = 0
        self._forget_news()
        self._load()

    def _forget_news(self) -> None:
        self._news = b""
        try:
            self._files.remove(NEWS)
        except OSError:
            pass

    def _load(self) -> None:
        self.added = self.removed = self._count = 0
        try:
            with self._files.open(LIST, "rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - _TRAILER_BYTES))
                trailer = file.read()
            if len(trailer) == _TRAILER_BYTES:
                mark, added, removed, _ = struct.unpack(_TRAILER, trailer)
                if trailer == _trailer(added, removed) and mark == _MARK:
                    self.added = added
                    self.removed = removed
                    self._count = (size - _TRAILER_BYTES) // ENTRY_BYTES
            with self._files.open(NEWS, "rb") as file:
                self._read_news(file.read())
        except OSError:
            pass

    def _read_news(self, data: bytes) -> None:
        at = 0
        while at + _HEAD_BYTES < len(data):
            count, added, removed = struct.unpack(_HEAD, data[at : at + _HEAD_BYTES])
            end = at + _HEAD_BYTES + count * ENTRY_BYTES
            if data[end : end + 4] != struct.pack(">I", binascii.crc32(data[at:end]) & 0xFFFFFFFF):
                break
            if added >= self.added and removed >= self.removed:  # else from before a whole list that came since
                self._learn(data[at + _HEAD_BYTES : end])
                self.added = added
                self.removed = removed
            at = end + 4
        if at < len(data):  # A torn end: what follows it would never be read again.
            self._merge()


def _write(out: "Any", entry: bytes) -> None:
    if entry[DIGEST_BYTES]:
        out.write(entry)


def _trailer(added: int, removed: int) -> bytes:
    data = struct.pack(">4sII", _MARK, added, removed)
    return data + struct.pack(">I", binascii.crc32(data) & 0xFFFFFFFF)
