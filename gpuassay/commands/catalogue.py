"""`gpuassay catalogue`: the behaviours as a page, made from the tests that declare them."""

from __future__ import annotations

import contextlib
import io
import os
from collections import Counter

import pytest

from gpuassay import resources
from gpuassay.commands import SubParsers, pages
from gpuassay.session.collection import behaviour_of
from gpuassay.verdict import Behaviour

PAGE = resources.ROOT / "docs" / "catalogue.md"


class _Collector:
    """Keeps (behaviour, title, test) of every collected test."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[Behaviour, str, str, int]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Read the declarations; the parameters of one test count as one entry."""
        counts: Counter[str] = Counter()
        for item in session.items:
            behaviour = behaviour_of(item)
            if behaviour is None:
                continue
            doc = (getattr(getattr(item, "obj", None), "__doc__", None) or item.name).strip().splitlines()[0]
            counts[behaviour.id] += 1
            link = item.get_closest_marker("known_defect")
            note = f" (known defect: {link.args[0]})" if link else ""
            self.found[behaviour.id] = (behaviour, doc + note, item.nodeid.split("[")[0], counts[behaviour.id])


def add(subparsers: SubParsers) -> None:
    """Register the sub-command."""
    pages.add(subparsers, "catalogue", "write docs/catalogue.md from the declared behaviours", PAGE, page)


def page() -> str:
    """The catalogue as Markdown."""
    collector = _Collector()
    with contextlib.redirect_stdout(io.StringIO()):
        # whatever the user's variable selects, and from whatever folder: the page tells of all
        everything = [str(resources.ROOT / "suites"), "-m", "upstream or not upstream", f"--rootdir={resources.ROOT}"]
        everything.append(f"--config-file={resources.ROOT / 'pyproject.toml'}")
        os.environ.pop("PYTEST_ADDOPTS", None)
        code = pytest.main([*everything, "--collect-only", "-qq", "-p", "no:cacheprovider"], plugins=[collector])
    if code != 0:
        raise RuntimeError("the suites cannot be collected: run `pytest suites --collect-only`")
    lines = [
        "# Catalogue of behaviours",
        "",
        "Made by `python -m gpuassay catalogue` from the tests; do not edit.",
        "",
        f"{sum(count for *_, count in collector.found.values())} behaviours.",
    ]
    heading = ""
    for behaviour, title, _, count in sorted(collector.found.values(), key=lambda entry: entry[0].id):
        here = f"{behaviour.suite}: {behaviour.feature}"
        if here != heading:
            heading = here
            lines += [
                "",
                f"## {here}",
                "",
                "| behaviour | level | what holds | red when | mutant |",
                "| --- | --- | --- | --- | --- |",
            ]
        times = f" (x {count})" if count > 1 else ""
        spec = f"[{behaviour.level}]({behaviour.spec})" if behaviour.spec.startswith("http") else behaviour.level
        cells = [f"`{behaviour.id}`{times}", spec, title, behaviour.red_when, behaviour.mutant or "-"]
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
