"""The switch that ends every wait of a process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from gpuassay.waiting import WaitError, WaitTimeout, halt, resume, wait


@pytest.fixture(autouse=True)
def again() -> Iterator[None]:
    yield
    resume()


def test_a_wait_under_way_and_a_later_one_end_with_the_reason() -> None:
    """Red when Ctrl-C must wait for somebody's deadline."""
    looked = threading.Event()

    def look() -> bool:
        looked.set()
        return False

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait, look, bool, what="what never comes", timeout=60)
        assert looked.wait(30)
        halt("the run was broken off")
        with pytest.raises(WaitError, match="waiting for what never comes: the run was broken off"):
            waiting.result(30)
    with pytest.raises(WaitError, match="the run was broken off"):
        wait(lambda: True, bool, what="what is there already")


def test_after_resume_waits_wait_again() -> None:
    """Red when the sweep of somebody's cluster cannot wait for objects to go."""
    halt("the run was broken off")
    resume()
    assert wait(lambda: True, bool, what="what is there already")
    with pytest.raises(WaitTimeout):
        wait(lambda: False, bool, what="what never comes", timeout=0)
