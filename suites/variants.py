"""A scenario that is acted out once for each of several systems of one kind, and what each is known to do wrong."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from gpuassay import Recording, scenario
from gpuassay.behaviours import defect_marks
from gpuassay.scenarios.declare import Alone as Alone


@dataclass(frozen=True)
class Deviation:
    """A known defect.

    Attributes:
        variants: who has it.
        link: where that is written.
        reason: what they do instead.
        shows: what the failure's message has to match, a regular expression.
        racy: it may not show.
    """

    variants: tuple[str, ...]
    link: str
    reason: str
    shows: str
    racy: bool = False


def per_variant(
    needs: Mapping[str, Iterable[str]],
    known: Callable[[str, str], Deviation | None],
    *,
    system: str,
    timeout: float,
    alone: Alone = "",
    profile: str = "default",
    outside: bool = False,
) -> Callable[[Callable[[Any, Any], None]], Any]:
    """Declare a scenario once per variant. Tests take it by name and run once per variant, on that one's recording.

    Args:
        needs: each variant's name, and the capabilities without which its behaviours are skipped.
        known: the deviation of a behaviour (id) by a variant (name), if it is known to have one.
        system: as `scenario` takes it.
        timeout: likewise.
        alone: likewise.
        profile: likewise.
        outside: likewise.
    """

    def declare(act: Callable[[Any, Any], None]) -> Any:
        module = sys.modules[act.__module__]

        def of(variant: str) -> str:
            def acted(lab: Any) -> None:
                act(lab, variant)

            acted.__name__ = f"{act.__name__}_{re.sub(r'[-.]', '_', variant)}"
            acted.__module__, acted.__doc__ = act.__module__, act.__doc__
            made = scenario(
                profile, system=system, needs=needs[variant], timeout=timeout, alone=alone, outside=outside
            )(acted)
            setattr(module, acted.__name__, made)
            return acted.__name__

        variants = {of(name): name for name in needs}

        @pytest.fixture(name=act.__name__, params=[pytest.param(name, id=variants[name]) for name in variants])
        def recording(request: pytest.FixtureRequest) -> Recording:
            marker = request.node.get_closest_marker("behaviour")
            variant = variants[request.param]
            deviation = known(marker.args[0].id, variant) if marker is not None else None
            if deviation is not None and variant in deviation.variants:
                for mark in defect_marks(deviation.link, deviation.reason, shows=deviation.shows, racy=deviation.racy):
                    request.node.add_marker(mark)
            return request.getfixturevalue(request.param)

        return recording

    return declare


def param(name: str, deviation: tuple[str, str] | None, *, racy: bool = False) -> Any:
    """A parameter of a test; one with a deviation (link, what is wrong) is known to fail by a finding that names it.

    Args:
        name: the parameter.
        deviation: None where nothing is wrong.
        racy: it may not show.
    """
    shows = rf"{re.escape(name)}[,:] "
    return pytest.param(name, marks=defect_marks(*deviation, shows=shows, racy=racy) if deviation else ())
