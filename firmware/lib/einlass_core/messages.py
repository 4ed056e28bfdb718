"""What a node says about itself, and what the controller's messages mean to its lane: the same for every shell."""

from einlass_core.events import Answered, Limited
from einlass_core.lease import Limit
from einlass_core.record import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from einlass_core.effects import Ask
    from einlass_core.events import Event
    from einlass_core.gate import Gate
    from einlass_core.journal import Journal


def identity(journal: "Journal") -> "dict[str, Any]":
    """What every message up carries: which journal, how far, and how the account stands there.

    Never what a power cut could still undo: a version that was told is acknowledged.
    """
    return {
        "inc": journal.incarnation,
        "boot": journal.boot,
        "seq": journal.seq,
        "account": journal.durable,
    }


def hello(journal: "Journal", software: str, hardware: str, reason: str) -> "dict[str, Any]":
    """The first message on a new link."""
    fields = identity(journal)
    fields["software"] = software
    fields["hardware"] = hardware
    fields["reason"] = reason
    return fields


def ask(journal: "Journal", effect: "Ask") -> "dict[str, Any]":
    """A scan, for the controller to decide."""
    fields = identity(journal)
    fields["nonce"] = effect.nonce
    fields["side"] = effect.side
    fields["code"] = effect.code
    return fields


def status(journal: "Journal", gate: "Gate", now_ms: int) -> "dict[str, Any]":
    """How the lane stands; the shell may add what only it knows (heap_free_bytes, link_drops)."""
    fields = identity(journal)
    fields["ms"] = now_ms
    fields["lane"] = gate.entry
    fields["waiting"] = journal.waiting
    fields["emergency"] = gate.emergency
    if gate.owed_deadline is None:  # No lease is asked for before the start is kept: the next one has its number then.
        fields["cut_off"] = gate.cut_off
    return fields


def limit_of(fields: "dict[str, Any] | None") -> "Limit | None":
    """The ceiling in a message, if it brings one."""
    return None if fields is None else Limit(fields["epoch"], fields["version"], fields["ceiling"])


def event_of(kind: str, fields: "dict[str, Any]", boot: int) -> "Event | None":
    """The lane's event in a decoded message down; None for those that are not for the lane.

    boot: the node's own. A lease that an earlier one asked for is none: the clock it runs on is gone.
    """
    limit = limit_of(fields.get("limit"))
    if kind == "answer":
        return Answered(fields["nonce"], fields["code"], fields["persons"], fields["values"], limit)
    if kind == "limit" and limit is not None:
        if fields.get("boot") == boot:
            return Limited(limit, fields.get("from_ms") or 0, fields.get("lease_ms") or 0)
        return Limited(limit)
    return None
