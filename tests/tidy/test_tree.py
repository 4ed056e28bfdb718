"""Rules about every file: no foreign hosts, no traces of somebody's machine, no sleeping tests, no endless files."""

import ast
import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.tidy.conftest import Tree

LINES_MAX = 600
# name -> why it may be longer.
LONG_WITH_REASON: dict[str, str] = {}
SLEEP_S_MAX = 0.05
PAGE_SUFFIXES = (".html", ".css", ".js", ".svg", ".j2", ".jinja")
NAMESPACE = re.compile(r"https?://www\.w3\.org/[0-9A-Za-z/#-]*")
FOREIGN = re.compile(r"""(?:https?:|wss?:)//|(?:src|href|action)=["']//|url\(["']?//|@import\s+["']//""", re.IGNORECASE)
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:wor[k]|roo[t]|opt/py[p]i|User[s])/")
TOKEN = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
# The start of the SHA-256 of words that have no place here. Digests, because a list of the words would break the rule.
PACKAGE_HOSTS = {
    "a4aa2ac280bb8d1a", "c899567ee9068517", "8b5bb5eb9d758455", "0dc11026ac75c015",
    "8743857e3ea00fd1", "e680c440a2e92079", "1ba4e37997a2e986", "d6d7019ca9fcbf07",
    "d16c7d020d97f09c", "00a7dc5a0cc38858", "4a8b734fb5be77bc", "89389784c68edf23",
}  # fmt: skip
TOOL_WORDS = {
    "c857d09db23e6822", "c70eca6b0f88f44d", "60965168ce762e94", "7d3194f79e645c42",
    "3ea125d0bff386e6", "487b91042c7cf27a", "de2187af3fb01170", "053ea4804ef1bb33",
    "1b1ae706971632ad", "57de4cf40144bdf7", "5d72436256ada538", "7a4dc0a14dd97275",
    "bccc86317c281a19", "b951327c37d8a1ed", "386ebc0efd04339a",
}  # fmt: skip


def digest(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()[:16]


def found_words(tree: "Tree", digests: set[str]) -> list[str]:
    seen: dict[str, bool] = {}
    found = []
    for name, text in tree.texts():
        for number, line in enumerate(text.splitlines(), 1):
            for token in TOKEN.findall(line.lower()):
                for word in {token, *token.split("-"), *token.split(".")}:
                    if word not in seen:
                        seen[word] = digest(word) in digests
                    if seen[word]:
                        found.append(f"{name}:{number}")
    return found


def test_pages_load_nothing_from_a_foreign_host(tree: "Tree") -> None:
    wrong = [
        f"{name}:{number}"
        for under in ("controller", "simulators", "cli", "edge")
        for name, text in tree.texts(*PAGE_SUFFIXES, under=under)
        for number, line in enumerate(text.splitlines(), 1)
        if FOREIGN.search(NAMESPACE.sub("", line))
    ]
    assert not wrong, f"Pages work offline and tell nobody who looks at them; ship the file with us: {wrong}"


def test_no_package_index_is_named(tree: "Tree") -> None:
    wrong = found_words(tree, PACKAGE_HOSTS)
    assert not wrong, f"Where packages come from is up to the machine (pip's and apt's own settings): {wrong}"


def test_no_path_of_somebodys_machine_is_named(tree: "Tree") -> None:
    wrong = [
        f"{name}:{number}"
        for name, text in tree.texts()
        for number, line in enumerate(text.splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert not wrong, f"Use a path relative to the repository, or one that an installation has: {wrong}"


def test_the_tree_speaks_only_of_the_product(tree: "Tree") -> None:
    wrong = found_words(tree, TOOL_WORDS)
    assert not wrong, f"How a text came about does not belong into it: {wrong}"


def test_no_file_has_grown_a_second_subject(tree: "Tree") -> None:
    wrong = {
        name: count
        for name, text in tree.texts(".py", ".js", ".css", ".html", ".sh", ".md", ".toml")
        if (count := text.count("\n")) > LINES_MAX and name not in LONG_WITH_REASON
    }
    assert not wrong, f"Over {LINES_MAX} lines: split by subject, or say here in LONG_WITH_REASON why not: {wrong}"
    assert set(LONG_WITH_REASON) <= {tree.name(path) for path in tree.paths}, "LONG_WITH_REASON: file gone"


def test_tests_wait_for_conditions(tree: "Tree") -> None:
    wrong = []
    for name, text in tree.texts(".py", under="tests"):
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            called = ast.unparse(node.func).rsplit(".", 1)[-1]
            value = node.args[0].value
            seconds = {"sleep": 1.0, "sleep_ms": 0.001}.get(called)
            if seconds is not None and isinstance(value, int | float) and value * seconds > SLEEP_S_MAX:
                wrong.append(f"{name}:{node.lineno} {ast.unparse(node)}")
    assert not wrong, (
        "A fixed sleep is too long on a fast machine and too short on a busy one. Wait for the condition "
        "with a deadline (einlass_sim.processes.wait_until). Where the passing of time is what is tested, "
        f"give it a name and say why it is that long: {wrong}"
    )
