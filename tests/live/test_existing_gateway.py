"""The suite at somebody's gateway: judged by requests alone, and the cluster is byte for byte as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gpuassay.cluster.api import Api
from gpuassay.waiting import wait
from tests.cluster.conftest import need_programs
from tests.live.conftest import PATIENCE, ROOT, LiveSuite, inside
from tests.outcome import Outcome

CHOSEN = ("suites/llmd/test_precise.py", "suites/llmd/test_any_gateway.py")
ANY = tuple(f"suites/llmd/test_any_{name}.py" for name in ("gateway", "profile", "trust"))
DECISIVE = "llmd.precise.follows-the-cache"
KINDS = ("Pod", "Namespace", "ConfigMap", "Service", "ServiceAccount", "Secret", "InferencePool", "Job")


@dataclass
class Theirs:
    """Somebody's gateway in a process of its own."""

    place: dict[str, str]
    api: Api

    def options(self, **instead: str) -> list[str]:
        """How the suite is sent there."""
        named = {
            "--gpuassay-kubeconfig": self.place["kubeconfig"],
            "--gateway-url": self.place["url"],
            "--gateway-model": self.place["model"],
            "--inference-pool": self.place["pool"],
        } | {f"--{name.replace('_', '-')}": value for name, value in instead.items()}
        return ["--cluster", "existing", *(part for pair in named.items() for part in pair)]

    def everything(self) -> dict[str, str]:
        """Every object of `KINDS` with its version: what was written to has another one."""
        found: dict[str, str] = {}
        for kind in KINDS:
            for one in self.api.list(kind):
                meta = one["metadata"]
                found[f"{kind} {meta.get('namespace', '')}/{meta['name']}"] = meta["resourceVersion"]
        return found


@contextmanager
def theirs_in(folder: Path, *settings: str) -> Generator[Theirs]:
    """Their cluster, gateway, picker and model servers for the length of a `with` block."""
    folder.mkdir()
    log = folder / "output.txt"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.live.host_of_a_gateway", str(folder), *settings], cwd=ROOT, stdout=out,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def ended(_: object) -> str | None:
        return f"it ended: {log.read_text()[-2000:]}" if process.poll() is not None else None

    try:
        wait((folder / "place.json").exists, bool, what="their gateway to be up", timeout=PATIENCE, error=ended)
        place = json.loads((folder / "place.json").read_text())
        api = Api.from_kubeconfig(place["kubeconfig"], direct=True)
        try:
            yield Theirs(place, api)
        finally:
            api.close()
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        wait(lambda: inside(folder), lambda left: not left, what="all of theirs to be gone", timeout=20)


def judged(
    folder: Path, theirs: Theirs, *more: str, chosen: Sequence[str] = CHOSEN, **instead: str
) -> Outcome:  # fmt: skip
    """A run of the routing suite's chosen modules at their gateway."""
    log, runs = folder / f"judged-{len(list(folder.glob('judged-*')))}.txt", folder / "runs"
    with log.open("w") as out:
        code = subprocess.run(
            [sys.executable, "-m", "pytest", *chosen, "-p", "no:cacheprovider", "--run-dir", str(runs), "-q",
             *theirs.options(**instead), *more],
            cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False,
        ).returncode  # fmt: skip
    found = sorted(runs.glob("2*")) if runs.exists() else []
    return Outcome(code, log.read_text(), found[-1] if found else runs)


@pytest.fixture(scope="module")
def routers() -> None:
    need_programs("controlplane", "llmd-epp", "llmd-sim")


def test_the_suite_judges_somebodys_gateway_and_changes_nothing(routers: None, tmp_path: Path) -> None:
    """Red when a good gateway is refuted, an object is written, or what cannot be seen there is no typed skip."""
    with theirs_in(tmp_path / "theirs") as theirs:
        before = theirs.everything()
        outcome = judged(tmp_path, theirs)
        assert theirs.everything() == before
        states = outcome.states
        assert outcome.code == 0, outcome.output
        good = [DECISIVE, "llmd.precise.picker-is-asked[precise]", *(f"llmd.any-gateway.{one}" for one in
                ("repeat-sticks", "counted-hits", "streams-flow"))]  # fmt: skip
        assert {one: states[one] for one in good} == dict.fromkeys(good, "PASS"), outcome.output
        skipped = {one: outcome.verdicts[one]["reason"] for one in states if one not in good}
        assert {states[one] for one in skipped} == {"SKIP"} and all(skipped.values())
        assert "chance is the bound" in skipped["llmd.precise.controls-cannot-know[random]"]
        told: dict[str, Any] = json.loads((outcome.run / "run.json").read_text())
        assert told["cluster"]["provider"] == "existing" and theirs.place["url"] in told["cluster"]["description"]
        again = subprocess.run(
            [sys.executable, "-m", "pytest", *CHOSEN, "-p", "no:cacheprovider", "-q", "--run-dir",
             str(tmp_path / "again"), "--replay", str(outcome.run)], cwd=ROOT, capture_output=True, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert again.returncode == 0, again.stdout
        for instead, line in (
            ({"gateway_model": "nobody"}, "model 'nobody' is unknown; the gateway has"),
            (
                {"inference_pool": "theirs/none"},
                "--inference-pool theirs/none is not there; that namespace has simulated",
            ),
            ({"endpoint_selector": "app=none"}, "no Pod of namespace theirs matches 'app=none' (it has 5 Pods)"),
        ):
            refused = judged(tmp_path, theirs, **instead)
            said = [one for one in refused.output.splitlines() if line in one]
            assert refused.code == 2 and len(said) == 1 and "Traceback" not in refused.output, refused.output


def test_a_gateway_that_guesses_under_the_name_of_precise_is_refuted(routers: None, tmp_path: Path) -> None:
    """Red when the decisive test cannot tell from outside a picker that knows the caches from one that guesses."""
    with theirs_in(tmp_path / "theirs", "profile=random", "replicas=3", "pool_status=refused") as theirs:
        before = theirs.everything()
        outcome = judged(tmp_path, theirs)
        assert theirs.everything() == before
    assert outcome.code == 1, outcome.output
    for name in (DECISIVE, "llmd.any-gateway.repeat-sticks", "llmd.any-gateway.counted-hits"):
        assert outcome.refuted(name), outcome.output
    assert "runs no plugin that knows the caches" in outcome.verdicts[DECISIVE]["reason"], outcome.output
    assert "ResolvedRefs is False, InvalidExtensionRef" in outcome.verdicts["llmd.any-gateway.pool-status"]["reason"]


@pytest.mark.parametrize(
    ("settings", "held"),
    [
        (
            ("profile=approximate", "path=/v1/chat/completions"),
            ("any-gateway.repeat-sticks", "any-profile.repeats-stick[approximate]", "any-trust.salt-sticks"),
        ),
        (("profile=least-loaded",), ("any-profile.repeats-scatter[least-loaded]",)),
        (("profile=random",), ("any-profile.repeats-scatter[random]", "any-profile.random-is-even[random]")),
    ],
    ids=["approximate, chats alone", "least-loaded", "random"],
)
def test_every_claim_is_judged(routers: None, tmp_path: Path, settings: tuple[str, ...], held: tuple[str, ...]) -> None:
    """Red when a run at a gateway that says truthfully what it is judges nothing, or refutes it."""
    claim = settings[0].partition("=")[2]
    with theirs_in(tmp_path / "theirs", *settings) as theirs:
        before = theirs.everything()
        outcome = judged(tmp_path, theirs, chosen=ANY, gateway_profile=claim)
        assert theirs.everything() == before
    # the simulator's cache knows no salt, which is what the behaviour says of it
    assert {one for one, state in outcome.states.items() if state == "FAIL"} <= {"llmd.any-trust.salt-isolates"}
    always = (f"any-profile.answers-with-usage[{claim}]", f"any-profile.cold-spread[{claim}]", "any-trust.models-apart",
              "any-trust.clients-cannot-steer", "any-trust.unknown-model-refused")  # fmt: skip
    for name in (*always, *held):
        # what hangs on a clock is INCONCLUSIVE on a machine that is short of CPU time
        assert outcome.states[f"llmd.{name}"] in {"PASS", "INCONCLUSIVE"}, outcome.output
    assert outcome.states[f"llmd.any-profile.cold-spread[{claim}]"] == "PASS"


def test_a_gateway_that_lets_clients_steer_is_refuted(routers: None, tmp_path: Path) -> None:
    """Red when a client's own header decides who serves it, and nobody sees it from outside."""
    with theirs_in(tmp_path / "theirs", "profile=random", "mutant=gateway-trusts-clients") as theirs:
        outcome = judged(tmp_path, theirs, "-k", "clients_do_not_choose", chosen=ANY, gateway_profile="random")
    assert outcome.code == 1 and outcome.refuted("llmd.any-trust.clients-cannot-steer"), outcome.output


def test_a_picker_alone_is_judged_and_reported(routers: None, tmp_path: Path) -> None:
    """Red when somebody's picker cannot be asked without its gateway, or its known defects are forgiven."""
    with theirs_in(tmp_path / "theirs", "profile=least-loaded", "replicas=3") as theirs:
        place = theirs.place
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "suites/llmd/test_any_picker.py", "-p", "no:cacheprovider", "-q",
             "--run-dir", str(tmp_path / "runs"), "--cluster", "existing", "--gpuassay-kubeconfig", place["kubeconfig"],
             "--epp-target", place["picker"], "--gateway-model", place["model"], "--inference-pool", place["pool"]],
            cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    outcome = Outcome(done.returncode, done.stdout, next((tmp_path / "runs").glob("2*")))
    assert outcome.states["llmd.any-picker.header-equals-metadata[target]"] == "PASS", done.stdout
    assert outcome.refuted("llmd.any-picker.hint-names-ports[target]"), done.stdout
    report = subprocess.run(
        [sys.executable, "-m", "gpuassay", "picker-report", str(outcome.run), str(tmp_path / "picker.json")],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    told = json.loads((tmp_path / "picker.json").read_text())
    assert report.returncode == 1 and not told["conforms"] and told["picker"]["target"] == place["picker"]


def test_the_plan_needs_no_gateway(suite: LiveSuite) -> None:
    """Red when `--plan` connects to anything, or does not print the rights."""
    suite.write("@says('demo.live.none')\ndef test_none(): pass\n")
    outcome = suite.run(
        "--plan", "--cluster", "existing", "--gateway-url", "http://gate.invalid", "--gateway-model", "m",
        "--inference-pool", "ns/pool",
    )  # fmt: skip
    assert "permissions in namespace ns" in outcome.output and "inferencepools: get list watch" in outcome.output
