"""From a command line to a run: its folder, its provider, and what pytest's header says of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from gpuassay import toolchain
from gpuassay.record import rundir
from gpuassay.record.pack import check_run, open_run
from gpuassay.scenarios import mutants
from gpuassay.session.resumed import earlier
from gpuassay.session.run import Run
from gpuassay.settings import Settings


def open_run_of(config: pytest.Config) -> Run:
    """Make the run that the command line asks for.

    Raises:
        Exception: bad input; its message is one line for the user.
    """
    option = config.option
    # absolute: a test may change the folder that it works in
    base = Path(option.run_dir).absolute() if option.run_dir else config.rootpath / "reports" / "runs"
    stored = open_run(Path(option.replay)) if option.replay else None
    if option.plan:
        toolchain.Assets.parse(option.asset)
        return Run(base / "plan", title=["gpuassay: plan only, nothing will run"])
    now = {"mutant": option.mutant, "full": option.full, "machine": rundir.machine()["fingerprint"]}
    resumed = earlier(Path(option.resume).absolute(), now) if option.resume else None
    provider = None
    if stored is None:
        from gpuassay.engine.provider import provider_for  # cluster clients: not for replays

        provider = provider_for(
            Settings.of(option)
        )  # before anything is written: a cluster that cannot be used leaves nothing
    directory = rundir.new_run_dir(base)
    known = check_run(stored) if stored else {}
    title = [f"gpuassay: live run on cluster {option.cluster}, kept in {directory}"]
    if stored:
        (directory / "replay-of.txt").write_text(str(stored))
        title = [f"gpuassay: REPLAY of run {known['run_id']}: recordings are judged again, nothing runs"]
    latest = base.parent / "latest"
    if os.path.lexists(latest) and not rundir.points_at_a_run(latest):
        title.append(f"gpuassay: {latest} is no link of ours and stays as it is; the run is in {directory}")
    recorded = not (option.no_recorded or option.mutant)  # what is broken on purpose is broken in no recording
    if not recorded:
        (directory / "no-recorded").touch()
    if option.mutant:
        title.append(f"gpuassay: MUTANT {option.mutant}: {mutants.get(option.mutant).breaks}")
    if resumed:
        title.append(f"gpuassay: goes on with run {resumed.known['run_id']}: what it recorded to the end is judged")
    rundir.begin(
        directory, mode="replay" if stored else "live", replay_of=known.get("run_id"), mutant=option.mutant,
        command=["pytest", *sys.argv[1:]],
    )  # fmt: skip
    rundir.describe(directory, full=option.full)
    if stored:
        keep = ("cluster", "components", "machine", "emulated", "capabilities", "mutant")
        discovered = {key: known[key] for key in ("discovered",) if key in known}
        rundir.describe(directory, **{key: known[key] for key in keep}, **discovered)
    return Run(
        directory, replay=stored, provider=provider, mutant=option.mutant, full=option.full, recorded=recorded,
        resumed=resumed, title=title, prometheus=vars(option).get("prometheus") or "",
    )  # fmt: skip
