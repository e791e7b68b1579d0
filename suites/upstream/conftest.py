from __future__ import annotations

from pathlib import Path

import pytest

from gpuassay.session.upstream import RESULTS

MARKER = "upstream"
IMPORTED = Path(__file__).parent / "test_imported.py"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Nothing is declared of other suites' files where none is given."""
    return True if collection_path == IMPORTED and not config.stash.get(RESULTS, None) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Upstream's own suites take a minute and programs of their own: they run where `-m` names them."""
    if MARKER in config.option.markexpr:
        return
    left = [item for item in items if item.get_closest_marker(MARKER) is not None and item.path != IMPORTED]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
