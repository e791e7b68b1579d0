"""An API server that is away for a while is waited for; one that refuses is not asked twice."""

from __future__ import annotations

from typing import Any, cast

import pytest
from urllib3 import HTTPResponse

from gpuassay.access.connection import Connection, NoAnswer
from gpuassay.cluster import patient
from gpuassay.cluster.api import Api
from gpuassay.cluster.errors import ApiRefused, NotAnswered
from gpuassay.cluster.patient import PatientApi


class Away:
    """Gives no answer a few times, then one with a status."""

    def __init__(self, times: int, status: int = 200) -> None:
        self.left, self.status, self.asked = times, status, 0

    def hide(self, text: str) -> str:
        return text

    def request(self, *_: Any, **__: Any) -> HTTPResponse:
        self.asked += 1
        self.left -= 1
        if self.left >= 0:
            raise NoAnswer("connection refused")
        return HTTPResponse(body=b"{}", status=self.status)


def api(away: Away, seconds: float = 60) -> PatientApi:
    return PatientApi(Api(cast("Connection", away)), seconds)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient, "DELAY", 0.001)


def test_an_answer_that_comes_later_is_waited_for() -> None:
    """Red when a restart of the API server breaks off an installation."""
    assert api(Away(3)).request("get", "/version") == "{}"


def test_who_stays_away_is_told() -> None:
    """Red when nothing ends the waiting, or the reason is lost."""
    with pytest.raises(NotAnswered, match="no answer from the API server to GET /version: connection refused"):
        api(Away(1000), 0.02).request("get", "/version")


def test_a_refusal_is_an_answer() -> None:
    """Red when what is refused is asked for again and again."""
    away = Away(0, 403)
    with pytest.raises(ApiRefused):
        api(away).request("get", "/version")
    assert away.asked == 1


def test_a_try_of_the_connection_is_not_repeated() -> None:
    """Red when a cluster that is not there takes minutes to be told."""
    away = Away(1)
    with pytest.raises(NotAnswered):
        api(away).request("get", "/version", again=False)
    assert away.asked == 1
