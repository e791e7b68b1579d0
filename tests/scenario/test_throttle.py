"""Fewer scenarios at a time on a machine that others use."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from gpuassay.engine.throttle import LEAST, Throttle
from gpuassay.waiting import wait


@pytest.mark.parametrize(("others", "width"), [(0.0, 12), (0.09, 12), (0.25, 9), (0.5, 6), (0.9, LEAST), (1.0, LEAST)])
def test_the_width_is_what_others_leave(others: float, width: int) -> None:
    """Red if neighbours are ignored, noise of the reading slows a calm machine, or nothing is acted out at all."""
    assert Throttle(12, lambda: others).width() == width


def test_a_lane_of_one_stays_one() -> None:
    """Red if a crowded machine gets more at a time than a calm one."""
    assert Throttle(1, lambda: 1.0).width() == 1


def test_no_more_turns_at_a_time_than_the_width() -> None:
    """Red if a turn is given while others fill the width, or not given back."""
    throttle, stopped = Throttle(6, lambda: 0.5), threading.Event()
    lock, most, now = threading.Lock(), 0, 0

    def act() -> None:
        nonlocal most, now
        with throttle.turn(stopped):
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.02)  # something that takes time: turns must be able to overlap
            with lock:
                now -= 1

    with ThreadPoolExecutor(12) as pool:
        for one in [pool.submit(act) for _ in range(24)]:
            one.result()
    assert most == 3


def test_turns_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    """Red if who has just ended a turn gets the next one while others wait: they would wait to the very end."""
    throttle, stopped = Throttle(12, lambda: 1.0), threading.Event()
    order: list[int] = []

    def act(number: int) -> None:
        with throttle.turn(stopped):
            order.append(number)
            time.sleep(0.02)  # long enough that the others of the pool are waiting

    with ThreadPoolExecutor(6) as pool:
        for one in [pool.submit(act, number) for number in range(24)]:
            one.result()
    assert all(abs(number - place) < 6 for place, number in enumerate(order)), order


def test_waiting_ends_when_the_run_is_stopped() -> None:
    """Red if an interrupted run waits for turns that nobody gives back."""
    throttle, stopped = Throttle(1), threading.Event()
    entered = threading.Event()

    def second() -> None:
        with throttle.turn(stopped):
            entered.set()

    with throttle.turn(threading.Event()):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.1)
        stopped.set()
        wait(entered.is_set, bool, what="the second turn", timeout=5)
        thread.join()
