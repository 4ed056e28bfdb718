import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from einlass_controller.compact import compact, compact_sorted
from einlass_controller.domain.ledger import canonical

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=6), VALUES, max_size=6))
def test_the_text_is_that_of_the_plain_encoder(body: dict[str, Any]) -> None:
    assert compact(body) == json.dumps(body, separators=(",", ":"))
    assert compact_sorted(body) == canonical(body)


@pytest.mark.parametrize("text", ["Süd", "\x7f", "\x1f", "\u2028", "\ud800", '"', "\\", "/", "\n", "😀"])
def test_what_the_two_encoders_write_differently_is_written_as_ever(text: str) -> None:
    assert compact({text: text}) == json.dumps({text: text}, separators=(",", ":"))


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError):
        compact({"a": object()})
