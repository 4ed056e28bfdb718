"""A town's tariff, made from a few lines."""

from collections.abc import Callable

import pytest

from tariff_town import HEAD, Town


@pytest.fixture
def town() -> Callable[..., Town]:
    """A tariff from its prices only; `top` are keys before the first section."""

    def make(prices: str, top: str = "") -> Town:
        return Town(HEAD + top + "\n" + prices)

    return make
