"""No behaviour stays green on something false that it reads: a few doctorings of the committed run."""

from __future__ import annotations

import pytest

from gpuassay import resources
from gpuassay.cli import main


@pytest.mark.timeout(900)
def test_nobody_stays_green_on_what_is_false(capfd: pytest.CaptureFixture[str]) -> None:
    """Red when a behaviour passes on a recording in which what it reads is false, or an exception excuses nothing."""
    code = main(["vacuity", str(resources.RECORDED_RUN), "--quick", "-n", "2"])
    told = capfd.readouterr()
    assert code == 0, told.out + told.err
    assert "0 of them stay green on something false that they read" in told.out


def test_a_run_that_cannot_be_judged_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """Red when bad input gives a traceback, or an empty selection looks like a clean result."""
    assert main(["vacuity", "/no/such/run"]) == 2
    assert "no such run directory or archive" in capfd.readouterr().err
    assert main(["vacuity", str(resources.RECORDED_RUN), "--exhibit"]) == 2
    assert "--exhibit writes into a run directory" in capfd.readouterr().err
    assert main(["vacuity", str(resources.RECORDED_RUN), "-n", "1", "-k", "nothing_is_called_so"]) == 2
    assert "nothing that holds was judged" in capfd.readouterr().err
