"""Writes docs/tariff.schema.json from the keys that the tariff reader knows: .venv/bin/python tools/tariff_schema.py"""

import json
from pathlib import Path

from einlass_tariff.schema import tariff_schema

PATH = Path(__file__).resolve().parents[1] / "docs/tariff.schema.json"


def text() -> str:
    """The file's content."""
    return json.dumps(tariff_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
    print(f"{PATH.name} written")
