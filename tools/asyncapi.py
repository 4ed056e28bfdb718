"""Makes docs/asyncapi.json, and the tables of messages in docs/protocol.md and docs/parking-protocol.md, from the one
contract: einlass_core/wire.py (and what joins it).

    .venv/bin/python tools/asyncapi.py

wire.py says which fields there are and what they may hold; here is only what they mean. A message or a field that is
new in wire.py and not explained here ends the tool with its name. The document is written from a node's point of view.
"""

import json
import sys
from pathlib import Path
from typing import Any

from einlass_core import VERSION as SOFTWARE_VERSION
from einlass_core import wire, wire_signed, wire_till

wire_till.join()
wire_signed.join()
ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "asyncapi.json"
PAGE = ROOT / "docs" / "protocol.md"
CAR_PARKS = ROOT / "docs" / "parking-protocol.md"
OF_CAR_PARKS = (*wire_till.UP, *wire_till.DOWN)
BEGIN = "<!-- made by tools/asyncapi.py from einlass_core/wire.py: change it there -->"
END = "<!-- end of what tools/asyncapi.py made -->"
ASYNCAPI_VERSION = "3.0.0"
QOS = 1

Field = tuple[str, bool, str]  # name, optional, type

MESSAGES = {
    "hello": "The first message on a new link. It says which journal the node has and how far it is.",
    "ask": "A scan that the controller decides. Sent once, never queued by the node while it is cut off.",
    "event": "One record of the journal. Numbered without gaps, sent again until it is acknowledged.",
    "status": "How the lane stands: every ten seconds, and at once after a ceiling that changed nothing.",
    "alarm": "Something a person should look at: a device that is gone, or back again (reason ends in _over).",
    "reply": "What became of a command.",
    "answer": "The decision on an ask. The same bytes again when the same ask comes again.",
    "limit": "How far the lane's own entries minus exits may rise. Sent again until an account acknowledges it.",
    "list": "A piece of the list of valid tickets, or what has changed on it: at most 40 tickets.",
    "ack": "The controller has stored every event up to this number.",
    "command": "An order by a person, valid for seconds, carried out at most once.",
    "state": "Whether the node is connected; the only retained message, and the node's last will.",
    "time": "The controller's clock, every ten seconds and after each hello.",
    "price": "A till asks what is due, and for vouchers to be held. Asked again with a new nonce; never queued.",
    "priced": "What is due, and which vouchers are held for this sale. The same bytes again on the same question.",
    "lot": "What vouchers of a lot are worth to a till that is cut off: on its first status, and every minute.",
    "book": "A piece of what a till needs to price alone: tariff, holidays, prices. Compressed JSON in base64.",
    "stamp": "The day's key for the time of entry on tickets: to entries that print them, and to tills there.",
    "places": "Free places of a zone, for a sign: on its hello, on every change, and every minute.",
    "trust": "What a lane judges signed tickets by: one JSON text in pieces, told until the lane has it.",
    "emergency": "For the whole site. Nodes treat it as one more pressed button; nothing sends it yet.",
}
PARTS = {
    "account": "How the lane stands, absolute and never a difference: the newest wins, by seq and version.",
    "limit": "A ceiling. Newer is by epoch, then version, never by arrival.",
    "version": "How new a list of tickets is. Additions and revocations are counted apart, since these go first.",
    "list": "The list of valid tickets that a node has; added 0: none, or so many pieces of a whole one (removed).",
    "trust": "By what a lane judges signed tickets.",
    "claim": "What a signed code says, without the signature.",
}
PARTS["book"] = "Which tariff a till has, and how much of the next one has come."
TYPES = {
    "flag": "true or false",
    "object": "an object of numbers and short texts",
    "count": "a whole number, not negative",
    "signed": "a whole number",
    "persons": "a number of persons",
    "time": "milliseconds",
    "name": "a short name",
    "nonce": "a unique name",
    "text": "a text for people",
    "code": "what a reader read",
    "cards": "codes of vouchers, joined by blanks",
    "held": "positions from 0, joined by blanks",
    "chunk": "a part of a longer text",
    "piece": "a piece of a text",
    "entries": "tickets in hex, 9 bytes each: 8 of the code's digest, 1 for the persons it lets in (0: off the list)",
}
# "message.field" where a field means something else there, else "field".
FIELDS = {
    "inc": "incarnation: which journal speaks, or is spoken to; random, new whenever the journal was empty",
    "boot": "how often this journal has been opened",
    "seq": "number of the last record in the journal; in an event, of this record",
    "ack.seq": "all events up to this one are stored",
    "account": "the lane's account as it stands with that record",
    "software": "version of the node's software",
    "hardware": "kind of board, such as esp32 or pi-modbus",
    "hello.reason": "why the node started: power, watchdog, restart ...",
    "event.reason": "more about it: of a boot, a fault, an emergency, a refusal, a loss",
    "alarm.reason": "what is wrong, at most 32 characters",
    "nonce": "names one scan, the same on every retry: incarnation.boot-salt.number",
    "side": "entry or exit",
    "ask.code": "the code as read: at most 200 printable ASCII characters",
    "event.code": "why the node refused on its own (a decision code)",
    "reply.code": "ok, expired, refused, repeated, clock_untrusted or unknown",
    "answer.code": "the decision code; ok and ok_reentry release the lane",
    "kind": "what happened",
    "ms": "the node's own clock, which only counts up; of an event: when it happened, though it was written later",
    "time.unix_ms": "UTC",
    "event.unix_ms": "UTC by the controller's clock as told to the node; 0: the node was never told",
    "event.persons": "how many persons it is about, 1 where it is missing; in a refusal without a code, how many scans",
    "answer.persons": "how many may pass on this release",
    "digest": "of the code, where the node decided without the controller: 8 bytes of SHA-256 in hex",
    "by": "who, by name; two names for what takes two people",
    "doubtful": "the sensors could not tell, so it was counted as a passage",
    "lane": "state of the lane: locked, asking, released, settling or out_of_service",
    "waiting": "records that are not acknowledged",
    "status.emergency": "an emergency lasts here",
    "heap_free_bytes": "free memory of a board after a collection",
    "link_drops": "how often the link was lost since the start",
    "id": "of the command",
    "answer.id": "of the decision, as in the ledger",
    "detail": "why, in words",
    "values": "what fills the sentence for the visitor, such as since_ms or entries_left",
    "answer.limit": "the ceiling that makes room for this release; only with a decision that admits",
    "limit.limit": "the new ceiling",
    "do": "rearm or identify",
    "issued_ms": "UTC; older than the node's start: not obeyed",
    "expires_ms": "UTC; at most a minute after issued_ms",
    "online": "false is also what the broker says when the node is gone",
    "on": "pressed or over",
    "cut_off": "what the lane does alone: secure, leased, open or free-flow; leased asks for a lease from `ms` on",
    "status.list": "which list of valid tickets it has",
    "limit.boot": "of the node whose request this lease answers; without it the limit brings no lease",
    "from_ms": "what the node's clock said in that request: the lease counts from there",
    "lease_ms": "so long the lane may use its ceiling without asking",
    "since": "the version that this follows; a node with another one does not take it",
    "to": "the version that the node has then; added 0: a piece of a whole list, number `removed`",
    "start": "a whole list begins: what follows is in the order of the digests",
    "end": "the whole list is complete and takes the place of the old one",
    "entries": "the tickets",
    "added": "number of the newest addition that is known",
    "removed": "number of the newest revocation that is known",
    "age_ms": "since the list was last known to be as new as the controller's",
    "till": "of a till: where every cent is (docs/till.md), absolute",
    "event.sale": "of a till: what this record says of its sale (docs/till.md)",
    "price.sale": "number of the sale at this till: the payment that the vouchers are held for",
    "what": "exit (pay on foot), display (pay and display), pool (a ticket) or lost (a lost ticket)",
    "subject": "code of the entry ticket; plate or space; product",
    "price.cards": "every voucher that was shown in this sale",
    "paid": "cents that are in",
    "priced.code": "ok, or why there is no price",
    "due": "cents to pay for it all, vouchers taken off",
    "priced.held": "of the cards: those that are held and that help",
    "until": "UTC: the money lasts until then, or the time to leave ends",
    "line": "what the entries of this till's list call the lot (1 to 255)",
    "lot": "its number",
    "lot.kind": "minutes, cents or percent",
    "value": "how many of them one is worth",
    "alone": "own: only what was handed over to this till is on its list; report: what anybody may use",
    "from": "Unix ms of the first instant; 0: no bound",
    "lot.until": "Unix ms of the last instant; 0: no bound",
    "days": "weekdays on which it counts (mon ... sun), joined by blanks; empty: all",
    "count": "with vouchers that are not its own: so many before it has to be in touch again",
    "cents": "and so much by them",
    "status.book": "of a till that may sell alone: which tariff it has",
    "status.stamp": "the newest day whose key it has, days since 1970; 0: none",
    "book.digest": "of the whole text: the start of its SHA-256 in hex; empty: none",
    "coming": "of the one that is coming in; empty: none is",
    "part": "in a status the next piece that it lacks, else the number of this one, from 0",
    "parts": "how many there are",
    "book.text": "this piece",
    "day": "days since 1970, by UTC; two of them are in use at a time",
    "stamp.key": "16 bytes in hex",
    "zone": "whose places",
    "free": "places free",
    "open": "whether anybody is let in now",
    "about": "a lane is cut off: the number may be off",
    "trust.trust": "by what it judges signed tickets",
    "status.trust": "of a lane that judges signed tickets by itself: by what; number 0: it was told nothing yet",
    "event.signed": "of a release alone on a signature: what the code says, for a ticket that nobody has seen before",
    "number": "grows with every key, revocation and version of the rules; an older one is not taken",
    "sum": "the first 16 hex digits of the text's SHA-256",
    "piece": "which piece, from 0",
    "pieces": "how many there are",
    "trust.text": "of {alone: products that may be let in, products: others that there are, zones: that it leads into, "
    "keys: [id, public key in hex, until (Unix ms, 0: no end), 1 if revoked]}",
    "key": "id of the key that signed it",
    "ticket": "its id",
    "product": "as the code says",
    "claim.zone": "as the code says; empty: every zone",
    "claim.persons": "how many it lets in",
    "claim.until": "Unix ms of the last instant; 0: no bound",
    "account.epoch": "grows with every recount",
    "account.version": "of the ceiling that the lane obeys",
    "account.ceiling": "how far balance may rise",
    "account.balance": "entries minus exits of this lane in this epoch; negative where more leave than come",
    "account.pending": "of the balance: released and not yet through",
    "account.alone": "tickets that were let in by the list, since the controller last knew of all records",
    "limit.epoch": "the account's own; another one would begin a new count",
    "limit.version": "grows with every ceiling sent",
    "limit.ceiling": "how far balance may rise",
}


class UnexplainedError(LookupError):
    """A message, type or field of wire.py that this tool does not explain; the text names it."""


def rules(text: str) -> list[Field]:
    """The fields in a rule of wire.MESSAGES or wire.PARTS."""
    return wire.read_rules(text)


def meaning(where: str, name: str) -> str:
    """What a field means there. UnexplainedError when FIELDS does not say."""
    for key in (f"{where}.{name}", name):
        if key in FIELDS:
            return FIELDS[key]
    raise UnexplainedError(f"tools/asyncapi.py: say in FIELDS what {name!r} of {where!r} means")


def explained(table: dict[str, str], name: str, what: str) -> str:
    """The text of a table. UnexplainedError when it has none."""
    if name not in table:
        raise UnexplainedError(f"tools/asyncapi.py: say in {what} what {name!r} is")
    return table[name]


def address(kind: str) -> str:
    """The topic of a message, with {site} and {node}."""
    if kind == "state":
        return wire.topic_state("{site}", "{node}")
    if kind in wire.BROADCAST:
        return wire.topic_all("{site}", kind)
    return (wire.topic_up if kind in wire.UP else wire.topic_down)("{site}", "{node}", kind)


def from_node(kind: str) -> bool:
    """Whether the node is the one that publishes it."""
    return kind in wire.UP or kind == "state"


def channel_of(kind: str) -> str:
    """The channel's name: `limit` is a message and a part of one, so a channel says where it leads."""
    return (
        kind
        if kind == "state"
        else f"{'up' if kind in wire.UP else 'all' if kind in wire.BROADCAST else 'down'}-{kind}"
    )


def document() -> dict[str, Any]:
    """The AsyncAPI document as plain values."""
    for kind in MESSAGES:
        if kind not in wire.MESSAGES:
            raise UnexplainedError(f"tools/asyncapi.py: wire.py has no message {kind!r} any more: remove it here")
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "Einlass node",
            "version": f"{wire.VERSION}.0.0",
            "description": (
                f"What a node at a lane says and hears (software {SOFTWARE_VERSION}). MQTT 3.1.1, QoS {QOS}, JSON in "
                f"UTF-8, at most {wire.MESSAGE_BYTES_MAX} bytes a message. Unknown fields are kept: a newer peer may "
                "send more."
            ),
        },
        "defaultContentType": "application/json",
        "channels": {channel_of(kind): _channel(kind) for kind in wire.MESSAGES},
        "operations": {_operation_name(kind): _operation(kind) for kind in wire.MESSAGES},
        "components": {
            "messages": {channel_of(kind): _message(kind) for kind in wire.MESSAGES},
            "schemas": {
                name: {"description": explained(PARTS, name, "PARTS"), **_object(name, text)}
                for name, text in wire.PARTS.items()
            },
        },
    }


def _channel(kind: str) -> dict[str, Any]:
    names = ("site",) if kind in wire.BROADCAST else ("site", "node")
    words = {"site": "The site's id.", "node": "The node's id, which is also its user name and its client id."}
    return {
        "address": address(kind),
        "messages": {kind: {"$ref": f"#/components/messages/{channel_of(kind)}"}},
        "parameters": {name: {"description": words[name]} for name in names},
    }


def _operation_name(kind: str) -> str:
    return f"{'send' if from_node(kind) else 'receive'}-{channel_of(kind)}"


def _operation(kind: str) -> dict[str, Any]:
    channel = f"#/channels/{channel_of(kind)}"
    return {
        "action": "send" if from_node(kind) else "receive",
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{kind}"}],
        "bindings": {"mqtt": {"qos": QOS, "retain": kind == "state"}},
    }


def _message(kind: str) -> dict[str, Any]:
    return {
        "name": kind,
        "summary": explained(MESSAGES, kind, "MESSAGES"),
        "payload": _object(kind, wire.MESSAGES[kind]),
    }


def _object(where: str, text: str) -> dict[str, Any]:
    fields = rules(text)
    return {
        "type": "object",
        "required": [name for name, optional, _ in fields if not optional],
        "properties": {name: _schema(where, name, kind) for name, _, kind in fields},
        "additionalProperties": True,
    }


def _schema(where: str, name: str, kind: str) -> dict[str, Any]:
    description = meaning(where, name)
    if kind in wire.PARTS:
        return {"allOf": [{"$ref": f"#/components/schemas/{kind}"}], "description": description}
    wanted, low, high = wire.TYPES[kind]
    found: dict[str, Any] = {"description": description}
    if wanted is bool:
        found |= {"type": "boolean"}
    elif wanted is dict:
        found |= {"type": "object"}
    elif wanted is int:
        found |= {"type": "integer", "minimum": low, "maximum": high}
    else:
        found |= {"type": "string", "maxLength": high}
    if (where, name) == ("event", "kind"):
        found["enum"] = list(wire.NODE_EVENTS)
    return found


def tables() -> str:
    """The same as Markdown, for people."""
    lines = [BEGIN, ""]
    common = [kind for kind in wire.MESSAGES if kind not in OF_CAR_PARKS]
    for title, kinds in (
        ("From a node", [kind for kind in common if from_node(kind)]),
        ("To a node", [kind for kind in common if not from_node(kind)]),
    ):
        lines += [f"### {title}", ""]
        for kind in kinds:
            lines += _table(kind, f"`{kind}`", explained(MESSAGES, kind, "MESSAGES"), wire.MESSAGES[kind])
    lines += ["### Parts of messages", ""]
    for name, text in wire.PARTS.items():
        lines += _table(name, f"{name} (a part)", explained(PARTS, name, "PARTS"), text)
    lines += ["### Types", "", "| Type | Is | Least | Most |", "|---|---|---|---|"]
    for name, (wanted, low, high) in wire.TYPES.items():
        bounds = ("", f"{high} characters") if wanted is str else (low, high) if wanted is int else ("", "")
        lines.append(f"| {name} | {explained(TYPES, name, 'TYPES')} | {bounds[0]} | {bounds[1]} |")
    return "\n".join([*lines, "", END])


def tables_of_car_parks() -> str:
    """Those of tills and signs, which have a page of their own."""
    lines = [BEGIN, ""]
    for kind in OF_CAR_PARKS:
        lines += _table(kind, f"`{kind}`", explained(MESSAGES, kind, "MESSAGES"), wire.MESSAGES[kind])
    return "\n".join([*lines[:-1], "", END])


def _table(where: str, title: str, summary: str, text: str) -> list[str]:
    rows = [
        f"| `{name}`{' (optional)' if optional else ''} | {kind} | {meaning(where, name)} |"
        for name, optional, kind in rules(text)
    ]
    return [f"#### {title}", "", summary, "", "| Field | Type | Meaning |", "|---|---|---|", *rows, ""]


def page(before: str, made: str = "") -> str:
    """A page with the tables (`made`, else docs/protocol.md's own) as they should be; ValueError: no place for them."""
    head, begin, rest = before.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page needs a line {BEGIN!r} and below it a line {END!r}")
    return head + (made or tables()) + tail


def text() -> str:
    """docs/asyncapi.json as it should be."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write all files; exit status 1 with the reason when something is not explained."""
    try:
        made = {DOCUMENT: text(), PAGE: page(PAGE.read_text(encoding="utf-8"))}
        made[CAR_PARKS] = page(CAR_PARKS.read_text(encoding="utf-8"), tables_of_car_parks())
    except (UnexplainedError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for path, content in made.items():
        path.write_text(content, encoding="utf-8")
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
