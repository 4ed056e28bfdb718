import re
import tomllib
from pathlib import Path

from einlass_controller.domain import catalogue, rules

PAGE = (Path(__file__).parents[2] / "docs" / "domain-rules.md").read_text(encoding="utf-8")


def test_the_worked_examples_can_be_used_as_they_stand() -> None:
    first, second = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    found = catalogue.read_catalogue(tomllib.loads(second))
    assert {"single", "day", "ten", "season", "evening", "reduced", "company", "slot", "short"} == set(found.products)
    rule = tomllib.loads(first)["product"]["rule"][0]
    assert rules.read_rule(rule, "rule", 0).id == "school"


def test_every_fact_operator_policy_and_code_is_explained() -> None:
    words = {*rules.FACTS, *rules.ENTRY_CODES, *rules.EXIT_CODES - {"ok_exit"}, *catalogue.REENTRY}
    words |= {operator for operators in rules.OPERATORS.values() for operator in operators}
    words |= set(catalogue._PRODUCT_KEYS) - {"id", "name", "name_en", "rule", "exit_rule"}
    assert not [word for word in words if f"`{word}`" not in PAGE]
