"""Fixtures of measurements; the long scale measurement runs only when asked for."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked = "scale" in config.option.markexpr or any("test_scale" in str(argument) for argument in config.args)
    if asked:
        return
    left_out = [item for item in items if item.get_closest_marker("scale") is not None]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
