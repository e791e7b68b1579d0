"""Acts out the scenarios of one pool: concurrently within a Kueue profile, each in its own namespace and queues."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gpuassay.cluster.errors import ClusterError, ComponentDied, NotFromOutside
from gpuassay.engine import kept, recordings, sight
from gpuassay.engine.throttle import Throttle
from gpuassay.record.recording import RecordingMeta, write_recording
from gpuassay.secrets import hide
from gpuassay.system import OWN_ARMS, get, systems
from gpuassay.toolchain.assets import NEVER_BUILT
from gpuassay.toolchain.errors import UnobtainableError
from gpuassay.waiting import WaitError

if TYPE_CHECKING:
    from gpuassay.engine.environment import Environment
    from gpuassay.scenarios.declare import Scenario


@dataclass
class Runner:
    """What is acted out on one environment.

    Attributes:
        run_dir: where `recordings/` grows.
        stop: set when nothing further shall be begun.
        done: told of every scenario that has its recording, and of the outcome.
        say: prints a progress line.
        width: how many scenarios are acted out at a time, fewer while others use the machine.
        full: long versions of measurements.
        spent: told of every scenario with the times of its beginning and end (ns since the epoch).
        acted: set when nothing is acted out on the environment any more.
    """

    environment: Environment
    run_dir: Path
    stop: threading.Event
    done: Callable[[Scenario, str], None]
    say: Callable[[str], None]
    width: int
    full: bool = False
    spent: Callable[[str, int, int], None] = lambda name, start_ns, end_ns: None
    acted: threading.Event = field(default_factory=threading.Event)

    def act_all(self, scenarios: Sequence[Scenario]) -> None:
        """Profile by profile, together what may be together."""
        for profile in dict.fromkeys(scenario.profile for scenario in scenarios):
            self._act_profile(profile, [one for one in scenarios if one.profile == profile])

    def _act_profile(self, profile: str, scenarios: list[Scenario]) -> None:
        if self.stop.is_set():
            return
        able = [one for one in scenarios if not self._skip(one)]
        if not able:
            return
        outcome = "skip"
        try:
            problem = None if self.environment.collapsed.is_set() else self.environment.set_profile(profile)
        except (ClusterError, WaitError) as error:
            outcome, problem = "error", f"profile {profile}: {self._reason(error)}"
        if problem:
            for one in able:
                self._write_outcome(one, outcome, problem)
            return
        # the longest first: the profile takes as long as its longest scenario, not as the last one started
        together = sorted((one for one in able if not one.alone), key=lambda one: -one.timeout)
        throttle = Throttle(self.width)

        def in_turn(one: Scenario) -> None:
            with throttle.turn(self.stop):
                self._act(one)

        with ThreadPoolExecutor(self.width, thread_name_prefix="scenario") as pool:
            acting = [pool.submit(in_turn, one) for one in together]
        for one in acting:
            one.result()  # a recording that could not be written is a broken run
        for one in able:
            if one.alone:
                self._act(one)

    def _skip(self, scenario: Scenario) -> bool:
        if unseen := self.environment.unseen.get(scenario.system):
            self._write_outcome(scenario, "skip", f"from outside: {unseen}")
            return True
        lacking = sorted(self.environment.lacking(scenario))
        if lacking:
            self._write_outcome(scenario, "skip", f"the cluster lacks: {', '.join(lacking)}{remedy(lacking)}")
        return bool(lacking)

    def _write_outcome(self, scenario: Scenario, outcome: str, reason: str) -> None:
        write_outcome(self.run_dir, scenario, outcome, reason)
        self.done(scenario, outcome)

    def _act(self, scenario: Scenario) -> None:
        if self.stop.is_set():
            return
        environment = self.environment
        if self.environment.collapsed.is_set():
            self._write_outcome(scenario, "error", environment.broken() or "")
            return
        if scenario.keep and environment.mutant is None and kept.whole(scenario.id, self.run_dir):
            self.say(f"{scenario.id}: recorded by an earlier run, not acted out again")
            self.done(scenario, "ok")
            return
        token = f"{scenario.short}-x{secrets.token_hex(3)}"
        system = get(scenario.system)
        lab = environment.lab(scenario, token, full=self.full, progress=lambda text: self.say(f"{scenario.id}: {text}"))
        lab.place = place = self.run_dir / "recordings" / scenario.id
        began = recordings.begin(environment)
        outcome, reason = "ok", ""
        try:
            environment.prepare(lab)
            scenario.function(lab)
            environment.settle(lab, recordings.QUIET, system.settled)
        except NotFromOutside as limit:
            outcome, reason = "skip", f"from outside: {limit}"
        except UnobtainableError as lack:
            outcome, reason = "skip", f"the cluster lacks: {lack}"
        except Exception as error:
            outcome, reason = "error", self._reason(error)
            self._keep_traceback(scenario)
        if outcome == "ok" and (broken := environment.broken()):
            # what was observed last may be the death and not the behaviour
            outcome, reason = "error", broken
        if not environment.ours and lab.api.denied:  # then it did something else than it says, however it ended
            outcome = "error" if outcome == "ok" else outcome
            reason = sight.denied(lab.api.denied, scenario.system, reason)
        lines = environment.lines(token, began.positions, everything=bool(scenario.alone))
        recordings.write(
            environment, lab, place, began, profile=scenario.profile, lines=lines, outcome=outcome, error=reason,
        )  # fmt: skip
        self.spent(scenario.id, began.at_ns, time.time_ns())
        self.done(scenario, outcome)
        with contextlib.suppress(*([ClusterError] if environment.broken() else [])):
            environment.clear(lab, system.swept)

    def _reason(self, error: Exception) -> str:
        """Why a scenario broke: what died, if something died, else what was raised."""
        if not isinstance(error, WaitError):
            self.environment.await_collapse()  # a refused request may be the first sign of a death
        broken = self.environment.broken()
        said = str(error) if isinstance(error, ComponentDied) else f"{type(error).__name__}: {error}"
        if broken is None:
            return said
        return broken if broken in said else f"{broken}\nthen {said}"

    def _keep_traceback(self, scenario: Scenario) -> None:
        logs = self.run_dir / "logs"
        logs.mkdir(exist_ok=True)
        (logs / f"{scenario.id}.traceback.txt").write_text(hide(traceback.format_exc()))


def remedy(lacking: Sequence[str]) -> str:
    """What a user can do about it."""
    from gpuassay.cluster.base import BROUGHT  # cluster clients: not for replays

    if OWN_ARMS in lacking:
        return (
            " (it starts gateways, pickers and model servers of its own, and breaks some: --llmd install; "
            "through a URL it cannot)"
        )
    for need in BROUGHT.keys() & set(lacking):
        return f" ({BROUGHT[need]})"
    for one in systems().values():
        for need in sorted(one.remedies.keys() & set(lacking)):
            return f" ({one.remedies[need]})"
    for need in NEVER_BUILT.keys() & {one.removeprefix("program:") for one in lacking}:
        return f" ({NEVER_BUILT[need]})"
    programs = [need.removeprefix("program:") for need in lacking if need.startswith("program:")]
    return f" (python -m gpuassay build {' '.join(programs)})" if programs else ""


def write_outcome(run_dir: Path, scenario: Scenario, outcome: str, reason: str) -> None:
    """Write a recording that says why there is none: "skip" or "error", and the reason."""
    meta = RecordingMeta(scenario=scenario.id, profile=scenario.profile, token="", outcome=outcome, error=reason)
    write_recording(run_dir / "recordings" / scenario.id, meta)
