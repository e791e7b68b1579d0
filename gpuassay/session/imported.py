"""Selection of tests and other suites' cases: a file that is given counts as a whole, whatever else is selected."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gpuassay.record.upstream import Results
from gpuassay.session.upstream import GIVEN, OPTION, RESULTS, BadImport

MARKER = "upstream"
PAPER = "paper"
"""Of tests that another project judges."""
UPGRADE = "upgrade"
"""Of tests that begin with an older version of a component."""
IMPORTED = Path("suites", "upstream", "test_imported.py")
"""The module whose tests are the imported cases, from the project's folder."""

_ASIDE = pytest.StashKey[list[pytest.Item]]()
_LAST_FAILED = "lfplugin-collwrapper"
"""What of pytest's `--lf` leaves out files and cases as they are collected; another part selects afterwards."""


def reach(config: pytest.Config) -> None:
    """Have the imported cases collected, whatever the arguments name: a file that is given counts.

    Raises:
        BadImport: this project has no module that judges them.
    """
    if not config.option.upstream_junit:
        return
    module = config.rootpath / IMPORTED
    if not module.is_file():
        raise BadImport(
            f"{OPTION}: {config.rootpath} has no {IMPORTED}, which judges what is imported: "
            "run it by `gpuassay run`, or in a checkout of gpuassay"
        )
    parts = [(config.invocation_params.dir / arg.split("::")[0]).resolve() for arg in config.args]
    others = [arg for arg, part in zip(config.args, parts, strict=True) if part != module]
    above = any(part in module.parents for part in parts)
    config.args[:] = others if above else [*others, str(module)]


def ignored(path: Path, config: pytest.Config) -> bool | None:
    """Whether `path` is left out of the collection: the module of imported cases where there are none.

    Where a file is given, nothing else may leave it out. None: no matter of imports.
    """
    module = config.rootpath / IMPORTED
    if path == module:
        return not config.stash.get(RESULTS, None)
    return False if config.option.upstream_junit and path == module.parent else None


def look_everywhere(config: pytest.Config) -> None:
    """Have `--lf` select among tests and not among files: it would not open the module of imported cases."""
    manager = config.pluginmanager
    if config.option.upstream_junit and manager.has_plugin(_LAST_FAILED):
        manager.unregister(name=_LAST_FAILED)


def set_aside(items: list[pytest.Item], config: pytest.Config) -> None:
    """Take the cases of given files out of `items`: `-k`, `-m` and the like select among the others."""
    suites = config.stash.get(GIVEN, frozenset[str]())
    aside = [item for item in items if _suite_of(item) in suites]
    config.stash[_ASIDE] = aside
    if aside:
        items[:] = [item for item in items if _suite_of(item) not in suites]


def put_back(session: pytest.Session) -> None:
    """Have the cases of given files run, first of all: they take no time.

    Raises:
        pytest.UsageError: some were not collected; nothing else is wrong so far.
    """
    config = session.config
    aside = config.stash.get(_ASIDE, list[pytest.Item]())
    config.stash[_ASIDE] = []
    session.items[:0] = aside
    suites = config.stash.get(GIVEN, frozenset[str]())
    wanted = sum(len(one.cases) for one in config.stash.get(RESULTS, list[Results]()) if one.suite in suites)
    if len(aside) != wanted and not session.testsfailed and sys.exc_info()[0] is None:
        raise pytest.UsageError(
            f"{OPTION}: of {wanted} imported cases {len(aside)} were collected, and a file that is given counts as a "
            f"whole: do not leave {IMPORTED} out"
        )


def _suite_of(item: pytest.Item) -> str | None:
    """The suite whose imported case `item` is."""
    callspec = getattr(item, "callspec", None)
    results = callspec.params.get("results") if callspec is not None else None
    return results.suite if isinstance(results, Results) else None


def leave_out(items: list[pytest.Item], config: pytest.Config) -> None:
    """Deselect what takes long or programs of its own unless `-m` names it: upstream's suites, upgrades, the paper."""
    imported = config.rootpath / IMPORTED
    unnamed = [name for name in (MARKER, UPGRADE, PAPER) if name not in config.option.markexpr]
    left = [
        item
        for item in items
        if any(item.get_closest_marker(name) is not None for name in unnamed) and item.path != imported
    ]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
