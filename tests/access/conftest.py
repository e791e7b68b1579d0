"""A server with a good certificate, and an environment without proxies."""

from __future__ import annotations

from collections.abc import Generator

import pytest
import trustme

from tests.access.apiserver import Server, serving


@pytest.fixture(scope="session")
def clients() -> trustme.CA:
    """Signs client certificates."""
    return trustme.CA()


@pytest.fixture
def server(clients: trustme.CA) -> Generator[Server]:
    with serving(clients=clients) as found:
        yield found


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
