"""Every behaviour that the bundled suites declare, collected without running anything."""

from __future__ import annotations

import contextlib
import io
import os
from dataclasses import dataclass

import pytest

from gpuassay import resources
from gpuassay.session.collection import behaviour_of, declaration, scenarios_of
from gpuassay.verdict import Behaviour


@dataclass(frozen=True)
class Declared:
    """One declared behaviour.

    Attributes:
        id: the behaviour's, with the case of a test that has several.
        behaviour: what its test declares.
        title: what holds, in a sentence.
        defect: the upstream issue that it is known to fail by, "" where there is none.
        measured: it is a measurement (`-m perf` or `-m scale`), not a rule.
        needs: capabilities of the cluster that it takes.
        test: its test, as pytest names it.
    """

    id: str
    behaviour: Behaviour
    title: str
    defect: str
    measured: bool
    needs: frozenset[str]
    test: str = ""


class _Collector:
    def __init__(self) -> None:
        self.found: list[Declared] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Read the declarations."""
        self.found = [one for item in session.items if (one := _read(item)) is not None]


def _read(item: pytest.Item) -> Declared | None:
    behaviour = behaviour_of(item)
    if behaviour is None:
        return None
    line = declaration(item, behaviour)
    link = item.get_closest_marker("known_defect")
    needs = {need for marker in item.iter_markers("needs") for need in marker.args}
    return Declared(
        id=line["behaviour"],
        behaviour=behaviour,
        title=line["title"],
        defect=str(link.args[0]) if link else "",
        measured=any(item.get_closest_marker(name) is not None for name in ("perf", "scale", "paper")),
        needs=frozenset(needs.union(*(one.needs for one in scenarios_of(item)))),
        test=line["test"],
    )


def everything() -> list[Declared]:
    """All of them, those of upstream's own suites too, in the order of collection.

    Raises:
        RuntimeError: the suites cannot be collected.
    """
    collector = _Collector()
    # whatever the user's variable selects, and from whatever folder
    words = [
        str(resources.ROOT / "suites"),
        "-m",
        "upstream or upgrade or paper or not upstream",
        f"--rootdir={resources.ROOT}",
    ]
    words += [f"--config-file={resources.ROOT / 'pyproject.toml'}", "--collect-only", "-qq", "-p", "no:cacheprovider"]
    os.environ.pop("PYTEST_ADDOPTS", None)
    with contextlib.redirect_stdout(io.StringIO()):
        code = pytest.main(words, plugins=[collector])
    if code != 0:
        raise RuntimeError("the suites cannot be collected: run `pytest suites --collect-only`")
    return collector.found
