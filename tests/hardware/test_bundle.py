"""Joining the firmware's modules must not change what they do: each case runs the texts and looks at what comes out."""

import ast
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from einlass_hardware.bundle import Bundle, BundleError
from einlass_hardware.firmware import BuildError, build


class Pack:
    """A little firmware in the folder `pack`, bundled and run."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def bundle(self, main: str, **modules: str) -> dict[str, str]:
        program = self._directory / "main.py"
        program.write_text(main)
        paths = {}
        for name, text in {"__init__": "", **modules}.items():
            path = self._directory / f"{name}.py"
            path.write_text(text)
            paths[f"pack.{name}".removesuffix(".__init__")] = path
        texts = Bundle(program, paths).texts
        return {name: ast.unparse(ast.fix_missing_locations(tree)) for name, tree in texts.items()}

    def run(self, texts: dict[str, str]) -> types.ModuleType:
        """The first text, loaded; the others can be imported."""
        sys.modules["pack"] = types.ModuleType("pack")
        for name, text in texts.items():
            module = sys.modules[name] = types.ModuleType(name)
            setattr(sys.modules["pack"], name.rpartition(".")[2], module)
            exec(compile(text, name, "exec"), module.__dict__)
        return sys.modules[next(iter(texts))]


@pytest.fixture
def pack(tmp_path: Path) -> Iterator[Pack]:
    yield Pack(tmp_path)
    for name in [name for name in sys.modules if name == "pack" or name.startswith("pack.")]:
        del sys.modules[name]


def test_same_names_in_two_modules_stay_apart(pack: Pack) -> None:
    texts = pack.bundle(
        "from pack import top",
        top="from pack import low\nfrom pack.low import check as other\n"
        "def check(): return 'top'\ndef run(): return check(), other(), low.check(), low.both()",
        low="def check(): return 'low'\ndef both(): return check()",
    )
    assert list(texts) == ["pack.top"]
    assert pack.run(texts).run() == ("top", "low", "low", "low")


def test_a_variable_hides_a_name_of_another_module(pack: Pack) -> None:
    texts = pack.bundle(
        "from pack import top",
        top="from pack import words\n"
        "def run(hello):\n    size = words.hello()\n    hello = size + hello\n    return hello",
        words="size = 1\ndef hello(): return size + 1",
    )
    assert pack.run(texts).run(40) == 42


def test_constants_become_values_and_their_names_are_gone(pack: Pack) -> None:
    texts = pack.bundle(
        "from pack import top",
        top="from pack.limits import BYTES_MAX\nfrom pack import limits\nWORD = 'entry'\n"
        "def run(): return BYTES_MAX, limits.TWICE, WORD, limits.LONG",
        limits="BYTES_MAX = 1 << 10\nTWICE = 2 * BYTES_MAX\nLONG = 'a text that is kept once only'",
    )
    assert "BYTES_MAX" not in texts["pack.top"]
    assert "WORD" not in texts["pack.top"]
    assert pack.run(texts).run() == (1024, 2048, "entry", "a text that is kept once only")


def test_a_name_that_changes_is_no_constant(pack: Pack) -> None:
    texts = pack.bundle("from pack import top", top="COUNT = 1\nCOUNT = COUNT + 1\ndef run(): return COUNT")
    assert pack.run(texts).run() == 2


def test_what_nobody_uses_and_what_is_for_types_or_hosts_is_left_out(pack: Pack) -> None:
    texts = pack.bundle(
        "from pack import top",
        top="import sys\nfrom pack.record import TYPE_CHECKING\nfrom pack.tools import used\n"
        "if TYPE_CHECKING:\n    from typing import Any\n"
        "def _host(): return 'host'\ndef _board(): return 'board'\n"
        "which = _board if sys.implementation.name == 'micropython' else _host\n"
        "def run(x: 'Any' = 1) -> 'Any':\n    '''Doc.'''\n    y: int = used() + x\n    return y, which()",
        record="TYPE_CHECKING = False",
        tools="import json\ndef used(): return 1\ndef unused(): return json.dumps(used())",
        never="def far(): pass",
    )
    for gone in ("typing", "unused", "json", "_host", "Doc", "far", "TYPE_CHECKING", "int"):
        assert gone not in texts["pack.top"], gone
    assert pack.run(texts).run() == (2, "board")


def test_how_values_print_and_compare_is_left_out_and_so_are_bases_without_content(pack: Pack) -> None:
    texts = pack.bundle(
        "from pack import top",
        top="from pack.values import Kind, Value\nfrom pack.values import Value as Base\n"
        "class Seen(Kind):\n    __slots__ = ('what',)\n    def __init__(self, what): self.what = what\n"
        "class Other(Base):\n    def __init__(self): self.what = 2\n"
        "class Marker: pass\nclass Marked(Marker): pass\n"
        "def run():\n    seen = [isinstance(one, Seen) and one.what for one in (Seen(1), Other())]\n"
        "    return seen, isinstance(Marked(), Marker)",
        values="class Value:\n    __slots__ = ()\n    def _values(self): return self.__slots__\n"
        "    def __eq__(self, other): return self._values() == other._values()\n"
        "    def __repr__(self): return str(self._values())\n"
        "class Kind(Value):\n    __slots__ = ()",
    )
    for gone in ("__slots__", "__eq__", "__repr__", "_values", "class Value", "class Kind"):
        assert gone not in texts["pack.top"], gone
    assert "class Marker" in texts["pack.top"], "it is asked for"
    assert pack.run(texts).run() == ([1, False], True)


def test_texts_that_are_put_together_are_one_text(pack: Pack) -> None:
    texts = pack.bundle(
        "from pack import top",
        top="_HEAD = 'a head that is long '\nBOTH = {'x': _HEAD + 'and ' + 'more'}\ndef run(): return BOTH['x']",
    )
    assert "_HEAD" not in texts["pack.top"]
    assert pack.run(texts).run() == "a head that is long and more"


def test_a_late_module_keeps_its_own_text_and_finds_what_is_loaded(pack: Pack) -> None:
    texts = pack.bundle(
        "from pack import top",
        top="from pack.base import Base\ndef run():\n    from pack import late\n    return late.made().value",
        base="class Base:\n    def __init__(self): self.value = 7\ndef only_late(): return 1",
        late="from pack.base import Base, only_late\nfrom pack.helper import double\n"
        "class Sub(Base):\n    pass\n"
        "def made():\n    sub = Sub()\n    sub.value = double(sub.value) + only_late()\n    return sub",
        helper="def double(x): return 2 * x",
    )
    assert set(texts) == {"pack.top", "pack.late"}
    assert "double" not in texts["pack.top"]
    ordered = {name: texts[name] for name in ("pack.top", "pack.late")}
    assert pack.run(ordered).run() == 15


def test_private_attributes_of_a_class_and_of_its_base_stay_apart(pack: Pack) -> None:
    texts = pack.bundle(
        "from pack import top",
        top="from pack.base import Base\nclass Sub(Base):\n    def __init__(self):\n        super().__init__(1)\n"
        "        self._mine = 2\n    def both(self): return self._mine, self.theirs()\ndef run(): return Sub().both()",
        base="class Base:\n    def __init__(self, first): self._yours = first\n"
        "    def theirs(self): return self._yours",
    )
    assert "_yours" not in texts["pack.top"]
    assert pack.run(texts).run() == (2, 1)


def test_parameters_that_are_given_by_name_keep_it(pack: Pack) -> None:
    texts = pack.bundle(
        "from pack import top",
        top="def scaled(value, factor=2, offset=0): return value * factor + offset\n"
        "def run(): return scaled(3, offset=1), [scaled(v) for v in (1, 2)], (lambda v: scaled(v, 5))(2)",
    )
    assert "offset" in texts["pack.top"]
    assert "factor" not in texts["pack.top"]
    assert pack.run(texts).run() == (7, [2, 4], 10)


def test_a_circle_and_a_missing_name_are_refused_with_the_reason(pack: Pack) -> None:
    with pytest.raises(BundleError, match=r"circle: pack\.a -> pack\.b -> pack\.a"):
        pack.bundle("from pack import a", a="from pack import b", b="from pack import a")
    with pytest.raises(BundleError, match=r"low\.absent"):
        pack.bundle("from pack import top", top="from pack import low\ndef run(): return low.absent()", low="x = 1")
    with pytest.raises(BundleError, match=r"pack\.low, line 2: a loop outside of a function"):
        pack.bundle("from pack.low import table\n", low="table = []\nfor at in (1, 2):\n    table.append(at)\n")


def test_the_firmware_is_built_and_what_is_no_firmware_is_refused(tmp_path: Path) -> None:
    target = build(tmp_path / "built")
    assert {path.name for path in target.iterdir()} == {"boot.py", "main.py", "lib", "text"}
    assert (target / "lib" / "einlass_node" / "node.mpy").read_bytes()[:2] == b"M\x06"
    assert not list((target / "lib").rglob("*.py"))
    texts = [path.read_text() for path in (target / "text").rglob("*.py")]
    assert texts
    assert not [text for text in texts if "card_doubtful" in text], "a gate's heap has no room for a till"
    with pytest.raises(BuildError, match="run this from a clone"):
        build(tmp_path / "again", tmp_path)
