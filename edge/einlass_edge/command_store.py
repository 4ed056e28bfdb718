"""Which commands were carried out: each at most once, also across a restart."""

from einlass_edge.database import Database

# Commands live for minutes; so many at once is somebody flooding the node.
COMMANDS_MAX = 256


class CommandStore:
    """Ids are kept until they have expired, for an expired command is refused anyway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def knows(self, command_id: str) -> bool:
        """Whether it was taken before."""
        return any(True for _ in self._database.rows("SELECT 1 FROM command WHERE id = ?", (command_id,)))

    def keep(self, command_id: str, expires_ms: int, now_unix_ms: int) -> bool:
        """Note it before carrying it out; False when too many are kept. OSError when it is not durable."""
        self._database.write("DELETE FROM command WHERE expires_ms < ?", (now_unix_ms,))
        [(count,)] = self._database.rows("SELECT count(*) FROM command")
        if count >= COMMANDS_MAX:
            return False
        self._database.write("INSERT INTO command VALUES (?, ?)", (command_id, expires_ms))
        return True
