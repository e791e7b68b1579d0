"""Proxies of the context and of the environment: the client and the recorder go the same way."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from gpuassay.access.address import Address
from gpuassay.access.errors import AccessError
from gpuassay.access.proxy import proxy_from
from gpuassay.cluster.existing import connect
from gpuassay.record.process import live_recorder
from gpuassay.record.resources import Resource
from tests.access.apiserver import NAME, Server, config, serving, written
from tests.access.proxies import Proxy, proxying
from tests.access.test_refused import refused

PODS = (Resource("Pod", "/api/v1/pods"),)
BASIC = "Basic " + base64.b64encode(b"me:S3CRET@x").decode()


def both_reach(kubeconfig: Path, spool: Path, proxy: Proxy) -> None:
    """The client reaches the server, then the recorder, each through the proxy."""
    api, _ = connect(kubeconfig)
    api.close()
    before = len(proxy.names)
    assert before
    with live_recorder(kubeconfig, spool, resources=PODS) as view:
        assert view.synced(["Pod"])
    assert len(proxy.names) > before
    assert {name.rpartition(":")[0] or name for name in proxy.names} == {NAME}


def address(server: Server) -> str:
    return f"https://{NAME}:{server.port}"


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
@pytest.mark.parametrize("login", [False, True])
def test_the_proxy_of_the_context(tmp_path: Path, server: Server, scheme: str, login: bool) -> None:
    """Red when the recorder, a SOCKS proxy, a name behind it or its password is left out."""
    socks = scheme.startswith("socks")
    asks = ("me:S3CRET@x" if socks else BASIC) if login else ""
    with proxying(server.port, socks=socks, login=asks) as proxy:
        url = f"{scheme}://{'me:S3CRET%40x@' if login else ''}127.0.0.1:{proxy.port}"
        path = written(tmp_path, config(server, server=address(server), proxy_url=url))
        both_reach(path, tmp_path / "spool", proxy)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_the_proxy_of_the_environment(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with proxying(server.port) as proxy:
        monkeypatch.setenv(name, f"127.0.0.1:{proxy.port}" if name != "ALL_PROXY" else f"http://127.0.0.1:{proxy.port}")
        both_reach(written(tmp_path, config(server, server=address(server))), tmp_path / "spool", proxy)


def test_plain_http_through_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when an http:// server of a name that only the proxy knows is asked directly."""
    with serving(plain=True) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)  # it answers an absolute address as a proxy would
        api, _ = connect(written(tmp_path, config(server, server=f"http://{NAME}:80")))
        api.close()
        assert server.asked[0].path == f"http://{NAME}:80/version"


def test_a_proxy_that_refuses_or_is_not_there_is_named_without_its_password(tmp_path: Path, server: Server) -> None:
    """Red when a password stands in the message, or the server is blamed for its proxy."""
    for socks in (False, True):
        with proxying(server.port, socks=socks, login="other") as proxy:
            scheme = "socks5" if socks else "http"
            url = f"{scheme}://me:S3CRET@127.0.0.1:{proxy.port}"
            said = refused(written(tmp_path, config(server, server=address(server), proxy_url=url)))
            assert f"127.0.0.1:{proxy.port} (proxy-url of cluster 'c' of kubeconfig" in said
            assert ("407" in said or socks) and "S3CRET" not in said and "me:" not in said
    for scheme in ("http", "socks5", "https"):
        url = f"{scheme}://me:S3CRET@127.0.0.1:1"
        said = refused(written(tmp_path, config(server, server=address(server), proxy_url=url)))
        assert "the proxy " in said and "refused" in said and "S3CRET" not in said


RULES: dict[str, tuple[str, str, bool]] = {
    "the host": ("api.test", "api.test", True),
    "a host below": ("test", "api.test", True),
    "a suffix": (".test", "api.test", True),
    "not the suffix itself": (".api.test", "api.test", False),
    "no part of a word": ("pi.test", "api.test", False),
    "capitals and blanks": (" other , API.Test", "api.test", True),
    "everything": ("*", "api.test", True),
    "a wildcard": ("*.test", "api.test", True),
    "the port": ("api.test:6443", "api.test", True),
    "another port": ("api.test:443", "api.test", False),
    "an address": ("10.1.2.3", "10.1.2.3", True),
    "a block": ("10.0.0.0/8", "10.1.2.3", True),
    "another block": ("192.168.0.0/16", "10.1.2.3", False),
    "a broken block": ("10.0.0.0/99", "10.1.2.3", False),
    "IPv6": ("fd00::/8", "[fd00::1]", True),
    "IPv6 and port": ("[fd00::1]:6443", "[fd00::1]", True),
    "IPv6 alone": ("fd00::1", "[fd00::1]", True),
    "nothing": ("", "api.test", False),
    "loopback": ("", "127.0.0.1", True),
    "localhost": ("", "localhost", True),
}


@pytest.mark.parametrize("case", RULES)
def test_no_proxy_by_gos_rules(case: str) -> None:
    """Red when kubectl and we differ about which servers are asked directly."""
    rule, host, direct = RULES[case]
    for name in ("NO_PROXY", "no_proxy"):
        found = proxy_from(Address(f"https://{host}:6443"), {"HTTPS_PROXY": "http://p:3128", name: rule})
        assert (found is None) is direct


def test_the_environments_proxy_of_the_other_scheme_is_not_taken() -> None:
    assert proxy_from(Address("https://a.test"), {"HTTP_PROXY": "http://p"}) is None
    found = proxy_from(Address("http://a.test"), {"HTTP_PROXY": "p"})
    assert found is not None and found.url == "http://p:80"
    with pytest.raises(AccessError, match="HTTPS_PROXY is no proxy that can be used"):
        proxy_from(Address("https://a.test"), {"HTTPS_PROXY": "ftp://me:S3CRET@p"})
