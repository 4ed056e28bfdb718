"""Docs that are made from the code are what the code makes now."""

import importlib.util
import json
import re
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from einlass_core import wire

if TYPE_CHECKING:
    from tests.tidy.conftest import Tree

ASYNCAPI = ".venv/bin/python tools/asyncapi.py"
LANE = ".venv/bin/python tools/lane_diagram.py"


def tool(tree: "Tree", name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, tree.root / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [found for inner in value.values() for found in references(inner)]
    if isinstance(value, list):
        return [found for inner in value for found in references(inner)]
    return []


def test_asyncapi_is_made_from_the_contract(tree: "Tree") -> None:
    kept = (tree.root / "docs/asyncapi.json").read_text(encoding="utf-8")
    assert kept == tool(tree, "asyncapi").text(), f"wire.py or its meanings have changed; run: {ASYNCAPI}"


def test_the_protocol_page_has_the_messages_of_the_contract(tree: "Tree") -> None:
    kept = (tree.root / "docs/protocol.md").read_text(encoding="utf-8")
    assert kept == tool(tree, "asyncapi").page(kept), f"wire.py or its meanings have changed; run: {ASYNCAPI}"


def test_the_car_parks_page_has_their_messages(tree: "Tree") -> None:
    made, kept = tool(tree, "asyncapi"), (tree.root / "docs/parking-protocol.md").read_text(encoding="utf-8")
    assert kept == made.page(kept, made.tables_of_car_parks()), f"wire_till.py has changed; run: {ASYNCAPI}"
    both = kept + (tree.root / "docs/protocol.md").read_text(encoding="utf-8")
    assert all(f"#### `{kind}`" in both for kind in wire.MESSAGES)


def test_the_lane_diagram_is_made_from_the_head_of_the_gate(tree: "Tree") -> None:
    kept = (tree.root / "docs/lane.md").read_text(encoding="utf-8")
    assert kept == tool(tree, "lane_diagram").page(), f"the head of gate.py has changed; run: {LANE}"


def test_asyncapi_says_every_message_once_and_refers_to_what_is_there(tree: "Tree") -> None:
    document = json.loads((tree.root / "docs/asyncapi.json").read_text(encoding="utf-8"))
    said = [name for channel in document["channels"].values() for name in channel["messages"]]
    assert sorted(said) == sorted(wire.MESSAGES)
    found = references(document)
    assert found
    for reference in found:
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            assert part in target, f"{reference} leads nowhere"
            target = target[part]


def test_asyncapi_bounds_are_those_that_decode_enforces(tree: "Tree") -> None:
    """A value at each bound of the document is taken, one beyond it is refused."""
    document = json.loads((tree.root / "docs/asyncapi.json").read_text(encoding="utf-8"))
    ack = {"inc": "x", "seq": 1}
    properties = document["components"]["messages"]["down-ack"]["payload"]["properties"]
    for field, bound in (("seq", "maximum"), ("seq", "minimum"), ("inc", "maxLength")):
        most = properties[field][bound]
        good, bad = ("x" * most, "x" * (most + 1)) if bound == "maxLength" else (most, most + (most > 0 or -1))
        assert wire.decode("ack", json.dumps(ack | {field: good}).encode())[field] == good
        with pytest.raises(wire.WireError, match=field):
            wire.decode("ack", json.dumps(ack | {field: bad}).encode())


def test_a_field_that_nobody_explained_is_named(tree: "Tree", monkeypatch: pytest.MonkeyPatch) -> None:
    made = tool(tree, "asyncapi")
    monkeypatch.setitem(wire.MESSAGES, "ack", wire.MESSAGES["ack"] + " colour:name")
    with pytest.raises(made.UnexplainedError, match="'colour' of 'ack'"):
        made.text()


def test_a_line_of_the_gates_head_that_is_no_transition_is_named(tree: "Tree") -> None:
    with pytest.raises(ValueError, match="LOCKED maybe OUT"):
        tool(tree, "lane_diagram").transitions("Entry side\n    LOCKED maybe OUT\n\n")


def test_links_between_the_docs_lead_somewhere(tree: "Tree") -> None:
    wrong = []
    for name, text in tree.texts(".md"):
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)|<img[^>]* src=\"([^\"]+)\"", text):
            link = next(part for part in target if part)
            if "://" in link or link.startswith("mailto:"):
                continue
            path = (tree.root / name).parent.joinpath(link).resolve()
            if not path.exists():
                wrong.append(f"{name}: {link}")
    assert not wrong, f"A link of ours that leads nowhere: {wrong}"
