"""The environment is copied while others change it."""

from __future__ import annotations

import os
import threading

import pytest

from gpuassay.environment import inherited

NAME = "GPUASSAY_COMES_AND_GOES"


def test_a_variable_that_comes_and_goes_breaks_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a copy is made of names and then of their values, one of which is gone by then."""
    monkeypatch.setenv("GPUASSAY_STAYS", "here")
    ended = threading.Event()

    def change() -> None:
        while not ended.is_set():
            os.environ[NAME] = "there"
            del os.environ[NAME]

    changing = threading.Thread(target=change)
    changing.start()
    try:
        copies = [inherited() for _ in range(2000)]
    finally:
        ended.set()
        changing.join()
    assert all(one["GPUASSAY_STAYS"] == "here" for one in copies)
    assert {one.get(NAME) for one in copies} <= {None, "there"}
