"""Steps of the workload program as a shell takes them: said, waited, asked to end, as the program would."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from gpuassay.manifest import Manifest
from gpuassay.waiting import wait
from gpuassay.workloads import containers, in_a_shell
from gpuassay.workloads.real import with_real_containers

SH = ["/bin/sh", "-c"]


def run(*steps: tuple[object, ...], env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The steps taken, to their end."""
    script = in_a_shell.script(containers.arguments(*steps))
    given = {"PATH": "/usr/bin:/bin", **(env or {})}
    return subprocess.run([*SH, script], capture_output=True, text=True, check=False, env=given, timeout=20)


def test_what_a_container_says_is_what_the_program_would_say(tmp_path: Path) -> None:
    """Red when a word is lost, the shell takes one for its own, or an environment is told that was not asked for."""
    (tmp_path / "b").touch()
    (tmp_path / "a").touch()
    environment = {"MINE": "x $HOME `id`", "MINE_TOO": "1", "OTHER": "2"}
    steps = [("print", "it's $HOME"), ("env", "MINE"), ("list", tmp_path), ("list", "/nowhere"), ("add", "6*7")]
    done = run(*steps, ("print", "."), ("exit", 3), env=environment)
    lines = done.stdout.splitlines()
    assert done.returncode == 3
    assert lines[0] == "it's $HOME" and sorted(lines[1:3]) == ["MINE=x $HOME `id`", "MINE_TOO=1"]
    assert lines[3:] == ["a", "b", "sum=42", "."]


def started(folder: Path, *steps: tuple[object, ...]) -> subprocess.Popen[str]:
    script = in_a_shell.script(containers.arguments(*steps)).replace(in_a_shell.FOLDER, str(folder))
    return subprocess.Popen([*SH, script], stdout=subprocess.PIPE, text=True)


def test_a_container_that_is_asked_ends_with_the_code(tmp_path: Path) -> None:
    """Red when it does not end, ends with another code, or an older request ends it at its start."""
    file = tmp_path / "8080"
    file.write_text("5 of-an-earlier-start")
    with started(tmp_path, ("serve", 8080), ("print", "."), ("wait",)) as process:
        assert process.stdout is not None and process.stdout.readline() == ".\n"
        assert process.poll() is None
        file.write_text("4 now")
        assert process.wait(20) == 4


@pytest.mark.parametrize(("steps", "code"), [((("wait",),), 143), ((("deaf",), ("wait",)), None)])
def test_sigterm_ends_it_unless_it_is_deaf(
    tmp_path: Path, steps: tuple[tuple[object, ...], ...], code: int | None
) -> None:
    """Red when a pod that is deleted would take its whole grace period, or a deaf one would not."""
    with started(tmp_path, *steps[:-1], ("print", "."), steps[-1]) as process:
        assert process.stdout is not None and process.stdout.readline() == ".\n"
        process.send_signal(signal.SIGTERM)
        if code is None:
            until = time.monotonic() + 1.5
            wait(lambda: process.poll() is not None or time.monotonic() > until, bool, what="a while")
            assert process.poll() is None
            process.kill()
        else:
            assert process.wait(20) == code


def test_a_step_that_a_shell_cannot_take_is_named() -> None:
    with pytest.raises(ValueError, match="the step 'api'"):
        in_a_shell.script(["api", "/version"])


def test_every_container_of_ours_gets_the_image_and_others_stay() -> None:
    """Red when an init container would still need our image, or what is asked by HTTP can be asked by nothing."""
    init = containers.container("first", ("exit", 0))
    main = containers.container("main", ("serve", 8080), ("wait",), resources={"limits": {"nvidia.com/gpu": "1"}})
    other: Manifest = {"name": "other", "image": "theirs", "args": ["x"]}
    pod = containers.pod("p", "ns", containers=[main, other], spec={"initContainers": [init]})
    spec = with_real_containers(pod, "busybox:1.37")["spec"]
    changed = [*spec["initContainers"], spec["containers"][0]]
    assert all(one["image"] == "busybox:1.37" and "args" not in one and "imagePullPolicy" not in one for one in changed)
    assert spec["containers"][0]["resources"] == {"limits": {"nvidia.com/gpu": "1"}}
    assert spec["containers"][1] == other
    field = spec["volumes"][0]["downwardAPI"]["items"][0]
    assert field == {"path": "8080", "fieldRef": {"fieldPath": "metadata.annotations['gpuassay.io/ask-8080']"}}
