"""What the project says about itself: dependencies with reasons, a dated list of breaks, one licence, one version."""

import re
import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.tidy.conftest import Tree

LISTED = re.compile(r"^\s*\"(?P<requirement>[^\"]+)\",?\s*(?P<comment>#.*)?$")
BOUND = re.compile(r"(<\s*\d|==\s*\d)")
HEADING = re.compile(r"^## \[(?P<version>\d+\.\d+\.\d+)\] - (?P<date>\d{4}-\d{2}-\d{2})$", re.MULTILINE)


def project(tree: "Tree") -> dict[str, Any]:
    return tomllib.loads((tree.root / "pyproject.toml").read_text())


def requirements(data: dict[str, Any]) -> list[str]:
    found: list[str] = [*data["build-system"]["requires"], *data["project"]["dependencies"]]
    for table in (data["project"]["optional-dependencies"], data["dependency-groups"]):
        for group in table.values():
            found += group
    return [requirement for requirement in found if not requirement.startswith("einlass[")]


def test_every_dependency_has_an_upper_bound(tree: "Tree") -> None:
    wrong = [requirement for requirement in requirements(project(tree)) if not BOUND.search(requirement)]
    assert not wrong, f"Without an upper bound, somebody else's next version breaks a pool on a Sunday: {wrong}"


def test_every_dependency_has_a_reason_beside_it(tree: "Tree") -> None:
    text = (tree.root / "pyproject.toml").read_text()
    reasons = {m["requirement"]: m["comment"] for line in text.splitlines() if (m := LISTED.match(line))}
    wanted = [r for r in requirements(project(tree)) if r not in project(tree)["build-system"]["requires"]]
    wrong = [requirement for requirement in wanted if not (reasons.get(requirement) or "").strip("# ")]
    assert not wrong, f"One a line, with `# why` beside it, so that it can be dropped when the reason is gone: {wrong}"


def test_the_newest_version_is_dated_and_names_its_breaks(tree: "Tree") -> None:
    text = (tree.root / "CHANGELOG.md").read_text()
    headings = list(HEADING.finditer(text))
    assert headings, "CHANGELOG.md needs a heading like `## [1.2.3] - 2026-11-22`"
    assert headings[0]["version"] == project(tree)["project"]["version"], "the newest is pyproject's version"
    dates = [heading["date"] for heading in headings]
    assert dates == sorted(dates, reverse=True), "newest first"
    for heading, end in zip(headings, [h.start() for h in headings[1:]] + [len(text)], strict=True):
        section = text[heading.start() : end]
        breaks = section.partition("\n### Breaks\n")[2].strip()
        assert breaks, f"version {heading['version']} needs a section `### Breaks` (`None.` if there are none)"


def test_version_and_licence_are_the_same_everywhere(tree: "Tree") -> None:
    data = project(tree)["project"]
    public = (tree.root / "publiccode.yml").read_text()
    assert f'softwareVersion: "{data["version"]}"' in public
    assert f"license: {data['license']}\n" in public
    assert f"SPDX-License-Identifier: {data['license']}\n" in (tree.root / "LICENSE").read_text()


def test_no_lock_file_is_kept(tree: "Tree") -> None:
    locks = [tree.name(path) for path in tree.paths if path.suffix == ".lock" or path.name in ("package-lock.json",)]
    assert not locks, f"A lock file holds the address of somebody's package index: {locks}"
