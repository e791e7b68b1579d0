"""Which arguments of pytest reach into suites: for these a run is opened, whatever else is tested is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuassay.session.collection import behaviour_of

INI = "gpuassay_suites"
"""Ini option: the folders that hold suites, relative to the ini file."""


def add_ini(parser: pytest.Parser) -> None:
    """Declare the ini option."""
    parser.addini(
        INI, "folders whose tests declare behaviours, relative to the ini file", type="args", default=["suites"]
    )


def folders(config: pytest.Config) -> list[Path]:
    """The folders of suites, absolute."""
    base = config.inipath.parent if config.inipath else config.rootpath
    named: list[str] = config.getini(INI)
    return [place for one in named if (place := (base / one).resolve()).is_dir()]


def reached(config: pytest.Config) -> bool:
    """Whether the arguments name a folder of suites, something in one, or something above one."""
    named: list[str] = config.args
    places = [(config.invocation_params.dir / arg.split("::")[0]).resolve() for arg in named]
    return any(
        place == suite or suite in place.parents or place in suite.parents
        for place in places
        for suite in folders(config)
    )


def refuse_strays(session: pytest.Session) -> None:
    """Nothing acts for a behaviour whose folder is not said to be a suite.

    Raises:
        pytest.UsageError: there is one; the message says what to do.
    """
    for item in session.items:
        if behaviour_of(item) is not None:
            place = session.config.inipath or session.config.rootpath / "pytest.ini"
            raise pytest.UsageError(
                f"{item.nodeid} declares a behaviour, and its folder is not among {INI} in {place}: add it there"
            )
