"""Kubeconfigs as real programs and people write them: each reaches the server that it means, with what it gives."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from gpuassay.cluster.existing import connect
from tests.access.apiserver import GOOD, Server, config, serving, written


def reached(kubeconfig: Path | str, context: str | None = None) -> str:
    api, name = connect(kubeconfig, context)
    assert api.version["gitVersion"] == "v1.36.3"
    api.close()
    return name


def b64(blob: bytes) -> str:
    return base64.b64encode(blob).decode()


WRITTEN: dict[str, Callable[[dict[str, Any]], str | bytes]] = {
    "yaml": yaml.safe_dump,
    "yaml with ---": lambda told: f"---\n{yaml.safe_dump(told)}---\n",
    "comments and CRLF": lambda told: f"# mine\n{yaml.safe_dump(told)}".replace("\n", "\r\n"),
    "byte order mark": lambda told: b"\xef\xbb\xbf" + yaml.safe_dump(told).encode(),
    "UTF-16 of PowerShell": lambda told: yaml.safe_dump(told).encode("utf-16"),
    "json with tabs": lambda told: json.dumps(told, indent="\t"),
    "json in one line": json.dumps,
    "flow style yaml": lambda told: "{contexts: " + json.dumps(told.pop("contexts")) + ", " + json.dumps(told)[1:],
    "anchors": lambda told: yaml.safe_dump(told | {"extra": [told["users"], told["users"]]}),
    "merge keys": lambda told: "x: &x {user: u}\n" + yaml.safe_dump(told).replace("    user: u\n", "    <<: *x\n", 1)
    if "x: &x" not in yaml.safe_dump(told) else "",
    "no kind": lambda told: yaml.safe_dump({key: told[key] for key in told if key not in ("kind", "apiVersion")}),
    "unknown fields": lambda told: yaml.safe_dump(told | {"preferences": None, "extensions": [{"name": "a"}]}),
    "null users beside": lambda told: yaml.safe_dump(told | {"users": [*told["users"], {"name": "n", "user": None}]}),
}  # fmt: skip


@pytest.mark.parametrize("case", WRITTEN)
def test_however_it_is_written(tmp_path: Path, server: Server, case: str) -> None:
    """Red when an encoding or style that kubectl reads is refused."""
    assert reached(written(tmp_path, WRITTEN[case](config(server)))) == "lab"
    assert server.asked[-1].one("authorization") == f"Bearer {GOOD}"


@pytest.mark.parametrize("name", ["1", "0123", "1e3", "yes", "on", "null-not", "true", "2024-01-01", "a b", "ä", "a:b"])
@pytest.mark.parametrize("quoted", [True, False])
def test_names_are_names(tmp_path: Path, server: Server, name: str, quoted: bool) -> None:
    """Red when YAML's numbers, truth values or dates are taken for something else than names."""
    spelt = f'"{name}"' if quoted else name
    # values alone: a certificate in base64 may hold any letters
    text = re.sub(r"(?m)(?<=: )(?:lab|c)$", lambda _: spelt, yaml.safe_dump(config(server)))
    path = written(tmp_path, text)
    assert reached(path) == name
    assert reached(path, name) == name


def test_a_token_of_digits_keeps_its_zeros(tmp_path: Path, server: Server) -> None:
    server.accepts.add("00123")
    reached(written(tmp_path, yaml.safe_dump(config(server)).replace(GOOD, "00123")))


@pytest.mark.parametrize("name", ["arn:aws:eks:eu-west-1:1:cluster-demo.yaml", "with blank", "-dash", "ü.yaml", "#x"])
def test_file_names_are_file_names(tmp_path: Path, server: Server, name: str) -> None:
    """Red when a colon, a blank or a letter beyond ASCII in the name of a file is taken for something else."""
    assert reached(written(tmp_path, config(server), name)) == "lab"


def test_a_relative_name_and_a_link(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when paths in a kubeconfig begin where we run, or where a link to it leads."""
    (tmp_path / "ca.crt").write_bytes(server.ca)
    told = config(server, certificate_authority_data=None, certificate_authority="ca.crt")
    written(tmp_path, told)
    monkeypatch.chdir(tmp_path)
    assert reached("config") == "lab"
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "config").rename(real / "config")
    (tmp_path / "config").symlink_to(real / "config")
    assert reached(tmp_path / "config") == "lab"


def test_of_several_files_the_first_counts(tmp_path: Path, server: Server) -> None:
    """Red when a list is one file name, or entries of one name are mixed (client-go: the first, as a whole)."""
    one, two = config(server, {}), config(server)
    one["contexts"], one["current-context"] = [], ""
    one["clusters"] = []
    one["users"] = [{"name": "u", "user": {"as": "somebody", "token": GOOD}}]
    two["current-context"] = "lab"
    first, second = written(tmp_path, one, "one"), written(tmp_path, two, "two")
    written(tmp_path, "", "empty")
    assert reached(f":{first}::{tmp_path}/absent:{tmp_path}/empty:{second}:") == "lab"
    assert server.asked[-1].one("impersonate-user") == "somebody"
    assert reached(f"{second}:{first}") == "lab"
    assert server.asked[-1].one("impersonate-user") == ""


def test_paths_of_several_files_begin_each_at_its_own(tmp_path: Path, server: Server) -> None:
    for folder, name, text in (("a", "ca", server.ca), ("b", "token", f"{GOOD}\n".encode())):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(text)
    clusters = config(server, certificate_authority_data=None, certificate_authority="ca")
    users = {"users": [{"name": "u", "user": {"tokenFile": "token"}}]}
    del clusters["users"]
    assert reached(f"{written(tmp_path / 'a', clusters)}:{written(tmp_path / 'b', users)}") == "lab"


def _pair(clients: trustme.CA) -> tuple[bytes, bytes]:
    leaf = clients.issue_cert("u.test")
    return b"".join(part.bytes() for part in leaf.cert_chain_pems), leaf.private_key_pem.bytes()


USERS: dict[str, tuple[dict[str, Any], str]] = {
    "token": ({"token": GOOD}, f"Bearer {GOOD}"),
    "token of a block": ({"token": f"{GOOD}\n"}, f"Bearer {GOOD}"),
    "token file": ({"tokenFile": "good"}, f"Bearer {GOOD}"),
    "the file counts": ({"tokenFile": "good", "token": "old"}, f"Bearer {GOOD}"),
    "the token where the file is gone": ({"tokenFile": "absent", "token": GOOD}, f"Bearer {GOOD}"),
    "password": ({"username": "u", "password": "pass"}, "Basic dTpwYXNz"),
    "token before exec": ({"token": GOOD, "exec": {"command": "none"}}, f"Bearer {GOOD}"),
    "gcp": ({"auth-provider": {"name": "gcp", "config": {"access-token": GOOD}}}, f"Bearer {GOOD}"),
}


@pytest.mark.parametrize("case", USERS)
def test_credentials_arrive(tmp_path: Path, server: Server, case: str) -> None:
    """Red when a good credential does not arrive, or another than client-go would send."""
    (tmp_path / "good").write_text(f"{GOOD}\r\n")
    user, header = USERS[case]
    reached(written(tmp_path, config(server, user)))
    assert server.asked[-1].one("authorization") == header


@pytest.mark.parametrize("how", ["data", "files", "data before a file that is gone", "wrapped base64"])
def test_client_certificates_arrive(tmp_path: Path, server: Server, clients: trustme.CA, how: str) -> None:
    chain, key = _pair(clients)
    user = {"client-certificate-data": b64(chain), "client-key-data": b64(key)}
    if how == "files":
        (tmp_path / "u.crt").write_bytes(chain)
        (tmp_path / "u.key").write_bytes(key)
        user = {"client-certificate": "u.crt", "client-key": "u.key"}
    elif how.startswith("data before"):
        user |= {"client-certificate": "absent", "client-key": "absent"}
    elif how.startswith("wrapped"):
        user = {name: base64.encodebytes(base64.b64decode(value)).decode() for name, value in user.items()}
    reached(written(tmp_path, config(server, user)))


def test_a_token_file_that_is_written_anew_is_read_anew(tmp_path: Path, server: Server) -> None:
    """Red when a token that is rotated while we run is a run that ends with 401."""
    (tmp_path / "token").write_text(GOOD)
    api, _ = connect(written(tmp_path, config(server, {"tokenFile": "token"})))
    server.accepts = {"another-token"}
    (tmp_path / "token").write_text("another-token\n")
    assert api.list("Namespace") == []
    (tmp_path / "token").unlink()
    assert api.list("Namespace") == []
    api.close()


def test_impersonation_arrives_with_all_groups(tmp_path: Path, server: Server) -> None:
    """Red when `as` is left out: the run would have another's rights."""
    user = {
        "token": GOOD, "as": "jane", "as-uid": "7", "as-groups": ["a", "b"], "as-user-extra": {"Example.com/x": ["1"]}
    }  # fmt: skip
    reached(written(tmp_path, config(server, user)))
    headers = server.asked[-1].headers
    assert headers["impersonate-user"] == ["jane"] and headers["impersonate-uid"] == ["7"]
    assert headers["impersonate-group"] in (["a", "b"], ["a, b"])
    assert headers["impersonate-extra-example.com%2fx"] == ["1"]


SERVERS: dict[str, tuple[str, str]] = {
    "slash": ("https://127.0.0.1:{port}/", "/version"),
    "path": ("https://127.0.0.1:{port}/k8s/clusters/c-1", "/k8s/clusters/c-1/version"),
    "path and slash": ("https://127.0.0.1:{port}/k8s/clusters/c-1/", "/k8s/clusters/c-1/version"),
    "no scheme": ("127.0.0.1:{port}", "/version"),
    "blanks around": (" https://127.0.0.1:{port} ", "/version"),
    "capital scheme": ("HTTPS://127.0.0.1:{port}", "/version"),
}


@pytest.mark.parametrize("case", SERVERS)
def test_addresses(tmp_path: Path, server: Server, case: str) -> None:
    address, path = SERVERS[case]
    reached(written(tmp_path, config(server, server=address.format(port=server.port))))
    assert server.asked[0].path == path


def test_user_information_in_the_address_is_sent_as_go_sends_it(tmp_path: Path, server: Server) -> None:
    address = server.url.replace("https://", "https://u:pass@")
    api, _ = connect(written(tmp_path, config(server, {}, server=address)))
    assert server.asked[-1].one("authorization") == "Basic dTpwYXNz"
    assert "pass" not in repr(api.connection)
    api.close()


def test_an_ipv6_address(tmp_path: Path) -> None:
    with serving("::1", host="::1") as server:
        reached(written(tmp_path, config(server, server=f"https://[::1]:{server.port}")))


def test_plain_http_without_credentials_as_behind_kubectl_proxy(tmp_path: Path) -> None:
    with serving(plain=True) as server:
        reached(written(tmp_path, config(server)))


def test_trust(tmp_path: Path, server: Server) -> None:
    """Red when a trust that kubectl has is refused: no verification, another name, a bundle, an intermediate."""
    reached(written(tmp_path, config(server, certificate_authority_data=None, insecure_skip_tls_verify=True)))
    told = yaml.safe_dump(config(server, certificate_authority_data=None))
    reached(
        written(
            tmp_path, told.replace("cluster:\n    server", "cluster:\n    insecure-skip-tls-verify: yes\n    server")
        )
    )
    with serving("other.test") as named:
        reached(written(tmp_path, config(named, tls_server_name="other.test")))
    bundle = b"# two\n" + trustme.CA().cert_pem.bytes() + b"\n\xc3\xa4\n" + server.ca
    reached(written(tmp_path, config(server, certificate_authority_data=b64(bundle))))
    root = trustme.CA()
    middle = root.create_child_ca()
    with serving(authority=middle) as below:
        reached(written(tmp_path, config(below)))
