"""`@scenario`: a function of the lab that becomes a pytest fixture yielding its recording."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from gpuassay.record.recording import Recording
from gpuassay.system import get

Alone = Literal["", "cluster", "machine"]


@dataclass(frozen=True)
class Scenario:
    """What is acted out once and judged by many tests.

    Attributes:
        id: `<suite>.<module>.<function>`, the name of its recording.
        function: acts on the lab; returns nothing.
        system: name of the system under test (`gpuassay.system`), which decides what stands on the cluster.
        profile: Kueue configuration it needs; scenarios of one profile run together.
        alone: what it gets to itself: "" nothing, its "cluster" (it restarts Kueue), or the "machine" (it measures).
        needs: capabilities of the cluster without which it is skipped by type.
        timeout: seconds it may be expected to take; the longest are begun first, and its tests wait accordingly.
        module: importable module that declares it.
        keep: taken over, not acted out again, where an earlier run in the same folder of runs has recorded it.
    """

    id: str
    function: Callable[[Any], None]
    system: str
    profile: str
    alone: Alone
    needs: frozenset[str]
    timeout: float
    module: str
    keep: bool = False

    @property
    def short(self) -> str:
        """Name for namespaces and objects: lower case, no dots or underscores, at most 24 characters."""
        return self.function.__name__.replace("_", "-").lower()[:24].strip("-")


Server = Callable[[pytest.FixtureRequest, "Scenario"], Recording]

_serve: list[Server] = []
_declared: dict[str, Scenario] = {}
_by_fixture: dict[int, tuple[object, Scenario]] = {}
"""By identity of the fixture, which is kept so that no other object gets its identity."""


def scenario(
    profile: str = "default",
    *,
    system: str = "kueue",
    alone: Alone = "",
    needs: Iterable[str] = (),
    outside: bool = False,
    timeout: float = 60,
    keep: bool = False,
) -> Callable[[Callable[[Any], None]], Any]:
    """Declare a scenario. Tests of the module take it by name and get its `Recording`.

    `keep`: what an earlier run of this machine with the same programs has recorded is judged, not acted out again.
    `outside`: it can be acted out where the system under test is somebody's as well, in what their users may do.

    Example:
        @scenario(profile="fair-sharing", needs={"kueue-process"}, timeout=120)
        def restarted(lab: KueueLab) -> None:
            lab.kueue.kill()
    """
    under_test = get(system)
    implied = under_test.needs | (frozenset[str]() if outside else under_test.needs_inside)

    def declare(function: Callable[[Any], None]) -> Any:
        module = function.__module__
        parts = [part.removeprefix("test_") for part in module.split(".") if part != "suites"]
        found = Scenario(
            id=".".join([*parts, function.__name__]),
            function=function,
            system=system,
            profile=profile,
            alone=alone,
            needs=frozenset([*needs, *implied]),
            timeout=timeout,
            module=module,
            keep=keep,
        )

        @pytest.fixture(name=function.__name__)
        def recording(request: pytest.FixtureRequest) -> Recording:
            return _serve[-1](request, found)

        before = _declared.get(found.id)
        if before is not None and before.module != module:
            raise pytest.Collector.CollectError(
                f"scenario {found.id} is declared in {before.module} and in {module}: rename one of them"
            )
        _declared[found.id] = found
        _by_fixture[id(recording)] = (recording, found)
        return recording

    return declare


def serve_recordings(server: Server) -> None:
    """Say who finds recordings (the plugin, which knows of the run)."""
    _serve.append(server)


def declared() -> dict[str, Scenario]:
    """Every scenario of the imported modules, by id."""
    return dict(_declared)


def scenario_of_fixture(fixture: object) -> Scenario | None:
    """The scenario behind a fixture object of a test module, or None."""
    return _by_fixture.get(id(fixture), (None, None))[1]
