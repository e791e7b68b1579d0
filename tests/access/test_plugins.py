"""Credential plugins: run as kubectl runs them, asked again when they must be, told in their own words."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
import trustme

from gpuassay.access import plugin as plugins
from gpuassay.access.connection import Connection
from gpuassay.access.errors import AccessError
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.existing import connect
from tests.access.apiserver import GOOD, Server, config, written
from tests.access.test_refused import refused

V1 = "client.authentication.k8s.io/v1"
BETA = "client.authentication.k8s.io/v1beta1"


def program(folder: Path, body: str, name: str = "plug") -> Path:
    """A plugin in Python; `say(status)` prints an ExecCredential of the version that was asked for."""
    path = folder / name
    start = f"""\
        #!{sys.executable} -IS
        import json, os, sys, time
        info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
        def say(status, version=info["apiVersion"], kind="ExecCredential"):
            print(json.dumps({{"apiVersion": version, "kind": kind, "status": status}}))
        """
    path.write_text(textwrap.dedent(start) + textwrap.dedent(body))
    path.chmod(0o755)
    return path


def user(command: object, **more: object) -> dict[str, Any]:
    told = {"apiVersion": BETA, "command": str(command), "interactiveMode": "Never", **more}
    return {"exec": {key: value for key, value in told.items() if value is not None}}


SAY = f'say({{"token": "{GOOD}"}})'


@pytest.mark.parametrize("version", [V1, BETA, "client.authentication.k8s.io/v1alpha1"])
def test_a_token(tmp_path: Path, server: Server, version: str) -> None:
    path = written(tmp_path, config(server, user(program(tmp_path, SAY), apiVersion=version, args=None, env=None)))
    api, _ = connect(path)
    assert server.asked[-1].one("authorization") == f"Bearer {GOOD}"
    api.close()


def test_command_arguments_environment_and_what_it_is_told(tmp_path: Path, server: Server) -> None:
    """Red when a relative command, an argument, a variable or the cluster's description does not arrive."""
    body = f"""
        cluster = info["spec"]["cluster"]
        assert sys.argv[1:] == ["7", "a b"] and os.environ["X"] == "1" and os.environ["EMPTY"] == ""
        assert info["spec"]["interactive"] is False and sys.stdin.read() == ""
        assert cluster["server"].startswith("https://127") and cluster["config"] == {{"a": "b"}}
        assert cluster["certificate-authority-data"]
        {SAY}
        """
    (tmp_path / "bin").mkdir()
    program(tmp_path / "bin", body)
    told = user("bin/plug", args=[7, "a b"], env=[{"name": "X", "value": 1}, {"name": "EMPTY", "value": ""}])
    told["exec"]["provideClusterInfo"] = True
    extensions = [{"name": "client.authentication.k8s.io/exec", "extension": {"a": "b"}}]
    connect(written(tmp_path, config(server, told, extensions=extensions)))[0].close()


def test_a_certificate(tmp_path: Path, server: Server, clients: trustme.CA) -> None:
    leaf = clients.issue_cert("u.test")
    status = {
        "clientCertificateData": b"".join(one.bytes() for one in leaf.cert_chain_pems).decode(),
        "clientKeyData": leaf.private_key_pem.bytes().decode(),
    }
    connect(written(tmp_path, config(server, user(program(tmp_path, f"say({status!r})")))))[0].close()
    del status["clientKeyData"]
    said = refused(written(tmp_path, config(server, user(program(tmp_path, f"say({status!r})")))))
    assert "gave no clientKeyData with the other half" in said


def test_after_a_401_the_plugin_is_asked_again(tmp_path: Path, server: Server) -> None:
    """Red when a token that is rotated while we run ends the run."""
    (tmp_path / "now").write_text(GOOD)
    body = f'say({{"token": open("{tmp_path}/now").read()}}); open("{tmp_path}/runs", "a").write("x")'
    api, _ = connect(written(tmp_path, config(server, user(program(tmp_path, body)))))
    assert (tmp_path / "runs").read_text() == "x"
    server.accepts = {"newer-token"}
    (tmp_path / "now").write_text("newer-token")
    assert api.list("Namespace") == []
    assert (tmp_path / "runs").read_text() == "xx"
    server.accepts = set()
    with pytest.raises(ClusterError, match="401"):
        api.list("Namespace")
    api.close()


def test_what_has_ended_is_asked_for_anew_but_not_with_every_request(tmp_path: Path, server: Server) -> None:
    """Red when a plugin whose clock is wrong runs for each of a thousand requests."""
    body = f"""
        say({{"token": "{GOOD}", "expirationTimestamp": "2020-01-01T00:00:00.123456789Z"}})
        open("{tmp_path}/runs", "a").write("x")
        """
    api, _ = connect(written(tmp_path, config(server, user(program(tmp_path, body)))))
    for _ in range(5):
        api.list("Namespace")
    assert len((tmp_path / "runs").read_text()) <= 2
    server.accepts = set()
    api.close()
    said = refused(tmp_path / "config")
    assert "(401): the token ended at 2020-01-01 00:00 UTC" in said and "exec plugin 'plug'" in said


def test_one_that_fails_later_is_told_and_not_run_for_every_watch(tmp_path: Path, server: Server) -> None:
    body = f"""
        open("{tmp_path}/runs", "a").write("x")
        if os.path.exists("{tmp_path}/broken"):
            sys.exit("session expired: run `cloud login`")
        say({{"token": "{GOOD}"}})
        """
    connection = Connection.open(written(tmp_path, config(server, user(program(tmp_path, body)))))
    (tmp_path / "broken").touch()
    server.accepts = set()
    for _ in range(4):
        with pytest.raises(AccessError, match=r"failed \(exit code 1\): session expired: run `cloud login`"):
            connection.request("GET", "/api/v1/pods", timeout=(1, 5))
    assert (tmp_path / "runs").read_text() == "xx"
    connection.close()


FAILS: dict[str, tuple[str, str]] = {
    "session expired": (
        'sys.exit("Error: SSO session has expired\\nTo refresh it, run: aws sso login --profile dev")',
        "failed (exit code 1): Error: SSO session has expired To refresh it, run: aws sso login --profile dev",
    ),
    "no word": ("sys.exit(3)", "failed (exit code 3): no word"),
    "its word on stdout": ('print("please log in"); sys.exit(1)', "failed (exit code 1): please log in"),
    "a traceback": ('raise RuntimeError("no network")', "RuntimeError: no network"),
    "notice first": (f'print("A new version is out!"); {SAY}', "in JSON on its standard output: A new version is out!"),
    "nothing": ('print("hint", file=sys.stderr)', "printed nothing; it said: hint"),
    "json list": ("print([])", "printed JSON that is no ExecCredential"),
    "another kind": ('say({"token": "S3CRET"}, kind="Token")', "printed JSON that is no ExecCredential"),
    "outdated": (
        'say({"token": "S3CRET"}, version="client.authentication.k8s.io/v1alpha1")',
        "answers in apiVersion client.authentication.k8s.io/v1alpha1, the kubeconfig asks for",
    ),
    "no status": ("say(None)", "gave an ExecCredential without status"),
    "empty status": ("say({})", "gave neither a token nor a client certificate"),
    "null token": ('say({"token": None})', "gave neither a token nor a client certificate"),
    "number token": ('say({"token": 5})', "gave a token or certificate that is no text"),
    "two-line token": ('say({"token": "S3CRET1\\nS3CRET2"})', "holds characters that no token has"),
    "bad time": ('say({"token": "S3CRET", "expirationTimestamp": "soon"})', "expirationTimestamp that is no time"),
    "time as number": ('say({"token": "S3CRET", "expirationTimestamp": 5})', "expirationTimestamp that is no time"),
    "bad certificate": ('say({"clientCertificateData": "S3CRET", "clientKeyData": "S3CRET"})', "holds no certificate"),
    "killed": ("os.kill(os.getpid(), 9)", "failed (exit code -9)"),
    "tells its secret": (
        'print("bad secret " + os.environ["AWS_SECRET_ACCESS_KEY"] + " " + sys.argv[2], file=sys.stderr); sys.exit(1)',
        "bad secret [hidden] [hidden]",
    ),
}


@pytest.mark.parametrize("case", FAILS)
def test_one_that_gives_nothing_is_told_in_its_own_words(tmp_path: Path, server: Server, case: str) -> None:
    """Red when a plugin's failure reads as `403 system:anonymous`, or its output shows a secret."""
    body, words = FAILS[case]
    told = user(program(tmp_path, body), args=["--client-secret", "S3CRET-argument"])
    told["exec"]["env"] = [{"name": "AWS_SECRET_ACCESS_KEY", "value": "S3CRET-variable"}]
    said = refused(written(tmp_path, config(server, told)))
    assert words in said and "exec plugin 'plug' of user 'u'" in said and "S3CRET" not in said
    assert not server.asked


def test_one_that_is_not_there_is_told_with_the_hint(tmp_path: Path, server: Server) -> None:
    told = user("no-such-plugin", installHint="Install it:\n  brew install it\n")
    said = refused(written(tmp_path, config(server, told)))
    assert "'no-such-plugin' of user 'u'" in said
    assert "is not installed (not in PATH): Install it: brew install it" in said
    assert "is not there" in refused(written(tmp_path, config(server, user("bin/absent"))))
    (tmp_path / "plain").write_text("x")
    assert "cannot be started: Permission denied" in refused(written(tmp_path, config(server, user("./plain"))))
    (tmp_path / "plain").chmod(0o755)
    assert "cannot be started: Exec format error" in refused(written(tmp_path, config(server, user("./plain"))))


SHAPES: dict[str, tuple[dict[str, Any], str]] = {
    "no command": ({"exec": {"apiVersion": V1}}, "names no command"),
    "no version": (user("a", apiVersion=None), "apiVersion is not given; it is one of"),
    "unknown version": (user("a", apiVersion="v1"), "apiVersion 'v1' is not known"),
    "mode": (user("a", interactiveMode="Sometimes"), "interactiveMode must be"),
    "always": (user("a", interactiveMode="Always"), "needs a terminal (interactiveMode: Always), and there is none"),
    "args is text": (user("a", args="S3CRET"), "exec.args: a list is needed, not a text"),
    "env is a map": (user("a", env={"A": "S3CRET"}), "exec.env: a list is needed, not a map"),
    "env without name": (user("a", env=[{"value": "S3CRET"}]), "exec.env[0]"),
    "null byte": (user("a", args=["\0"]), "cannot be started"),
}


@pytest.mark.parametrize("case", SHAPES)
def test_a_plugin_that_is_described_wrongly_is_one_line(
    tmp_path: Path, server: Server, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # as of a service
    told, words = SHAPES[case]
    said = refused(written(tmp_path, config(server, told)))
    assert words in said and "S3CRET" not in said


def test_one_that_waits_for_a_login_is_ended(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a plugin that waits for a browser holds the run for ever."""
    monkeypatch.setattr(plugins, "SECONDS", 1.0)
    body = 'print("open https://login and enter ABC", file=sys.stderr, flush=True); time.sleep(60)'
    begun = time.monotonic()
    said = refused(written(tmp_path, config(server, user(program(tmp_path, body)))))
    assert time.monotonic() - begun < 20
    assert "gave nothing within 1 s" in said and "open https://login and enter ABC" in said


def test_the_cluster_is_described_in_json_types(tmp_path: Path, server: Server) -> None:
    body = f"""
        assert json.dumps(info["spec"]["cluster"]["insecure-skip-tls-verify"]) == "true"
        {SAY}
        """
    told = user(program(tmp_path, body), provideClusterInfo=True)
    document = config(server, told, certificate_authority_data=None, insecure_skip_tls_verify=True)
    connect(written(tmp_path, json.dumps(document)))[0].close()
