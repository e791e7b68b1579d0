"""Canary secrets through every way in: none is found in anything that was printed or written."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import pytest

from gpuassay.load.plan import Ask, ClosedLoop, Plan, completion_body
from gpuassay.secrets import hide, hide_words, learn_kubeconfig
from tests.load.servers import HEAD, MODELS, fixed, serving
from tests.plugin.conftest import SmallSuite

ROOT = Path(__file__).parents[2]
TOKEN = "canary-Token+8/1=.~x"
"""With characters that URLs escape."""
PASSWORD, KEY, CLIENT, REFRESH = "canary-Password-82", "canary-ApiKey-83", "canary-Client-84", "canary-Refresh-85"
CANARIES = (TOKEN, PASSWORD, KEY, CLIENT, REFRESH)


def found_in(text: str) -> list[str]:
    """The canaries that stand in `text`, in whatever form."""
    forms = {
        one: (one, quote(one, ""), base64.b64encode(one.encode()).decode(), json.dumps(one)[1:-1]) for one in CANARIES
    }
    return [one for one, ways in forms.items() if any(way in text for way in ways)]


def found_below(folders: Iterable[Path]) -> dict[str, list[str]]:
    """The same, of every file."""
    files = [one for folder in folders for one in folder.rglob("*") if one.is_file()]
    told = {str(one): found_in(one.read_bytes().decode(errors="replace")) for one in files}
    return {name: canaries for name, canaries in told.items() if canaries}


BAD = f'''
import logging, os, sys, warnings
TOKEN = os.environ["GPUASSAY_GATEWAY_TOKEN"]

class Answer(Exception):
    pass

def ask(headers):
    raise Answer(f"401 from https://me:{PASSWORD}@gate/v1?api-key={KEY}: what is {{headers}}?")

@says("demo.a.raises")
def test_raises(act):
    """An exception quotes the header."""
    print("asked with", TOKEN)
    print("and told", TOKEN, file=sys.stderr)
    logging.getLogger("mine").warning("authorization: Bearer %s", TOKEN)
    headers = {{"authorization": f"Bearer {{TOKEN}}"}}
    try:
        ask(headers)
    except Answer as error:
        raise RuntimeError("no answer with " + TOKEN) from error

@says("demo.a.asserts")
def test_asserts(act):
    """An assertion compares it."""
    told = f"Bearer {{TOKEN}}"
    assert told == "Bearer none", f"the gateway has said {{told}}"

@says("demo.a.doubts")
def test_doubts(act):
    """A doubt quotes it."""
    raise Inconclusive(f"who is {{TOKEN}}?")

@says("demo.a.skips")
def test_skips(act):
    """A skip quotes it."""
    pytest.skip(f"no gateway takes {{TOKEN}}")

@says("demo.a.measures")
def test_measures(act, measure):
    """A figure is named after it."""
    measure.value("told", f"Bearer {{TOKEN}}") if hasattr(measure, "value") else None

@pytest.fixture
def broken_fixture():
    raise OSError(2, "no such file", f"/run/{{TOKEN}}")

@says("demo.a.setup")
def test_setup(act, broken_fixture):
    """A fixture breaks with it."""
'''


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_no_report_of_a_run_holds_a_secret(
    suite: SmallSuite, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    """Red when a token is in the terminal's output, a traceback, a log, JUnit, Allure, a verdict or the page."""
    monkeypatch.setenv("GPUASSAY_GATEWAY_TOKEN", TOKEN)
    suite.write(BAD)
    options = ("--showlocals", "--tb=long", "-rA", "-vv", "--log-level=DEBUG", "-o", f"cache_dir=.c?api-key={KEY}")
    outcome = suite.run(*options, *workers)
    assert outcome.code == 1 and set(outcome.states.values()) >= {"FAIL", "ERROR", "INCONCLUSIVE", "SKIP"}
    assert "[hidden]" in outcome.output
    assert found_in(outcome.output) == []
    assert found_below([suite.folder / "reports"]) == {}


URLS = (
    f"http://me:{PASSWORD}@gate",
    f"http://me:{PASSWORD}@gate:99999",
    f"http://me:{PASSWORD}@[gate",
    f"http://me:p/{PASSWORD}@gate",
    f"me:{PASSWORD}@gate",
    f"http://gate?api-key={KEY}",
    f"http://gate:no?key={KEY}",
    f"gate#{KEY}",
    f"http://gate/v1?token={KEY}",
)


def test_no_refused_option_is_shown_with_its_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Red when the line that refuses an option, or the run's folder, shows what must not be seen."""
    monkeypatch.setenv("GPUASSAY_GATEWAY_TOKEN", TOKEN)
    program = (
        "import argparse, json, sys\n"
        "from gpuassay.settings import Settings\n"
        "from gpuassay.systems.llmd.existing.options import BadGatewayOption, gateway_options\n"
        "for url in json.loads(sys.argv[1]):\n"
        "    told = dict(cluster='existing', gateway_model='m', inference_pool='a/b', gateway_url=url)\n"
        "    try:\n"
        "        print('TAKEN', gateway_options(Settings.of(argparse.Namespace(**told))))\n"
        "    except BadGatewayOption as error:\n"
        "        print(error)\n"
    )
    done = _run([sys.executable, "-c", program, json.dumps(URLS)])
    assert len(done.splitlines()) == len(URLS) and "TAKEN" not in done, done
    assert found_in(done) == []


def _run(command: list[str], **more: str) -> str:
    ended = subprocess.run(command, cwd=ROOT, env={**os.environ, **more}, capture_output=True, text=True, timeout=120)
    return ended.stdout + ended.stderr


def test_a_server_that_says_the_token_back_is_not_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when rows, logs or error lines of a load hold the token, because the server's answer does."""
    monkeypatch.setenv("GPUASSAY_GATEWAY_TOKEN", TOKEN)
    said = f'{{"error": {{"message": "Incorrect API key provided: {TOKEN}"}}}}'.encode()
    answers = (
        fixed(said, status="401 Unauthorized", more=f"x-inference-pod: {TOKEN}\r\n"),
        fixed(said, status="500 Internal Server Error"),
        HEAD + b"content-length: 9999\r\n\r\ndata: " + said + b"\n\n",
        f"HTTP/1.1 {TOKEN}\r\n\r\n".encode(),
        fixed(b"data: " + TOKEN.encode() + b"\n\n", kind="text/event-stream"),
    )

    def talk(sock: object, number: int) -> bool:
        sock.sendall(fixed(MODELS) if number == 0 else answers[(number - 1) % len(answers)])  # type: ignore[attr-defined]
        return False

    with serving(talk) as (url, _):
        plan = Plan(
            url=url, model="m", bodies={"a": completion_body("hi", 5)}, asks=tuple(Ask("a") for _ in answers),
            shape=ClosedLoop(1), timeout=5,
        )  # fmt: skip
        (tmp_path / "plan.json").write_bytes(plan.to_json())
        done = _run([sys.executable, "-m", "gpuassay.load", str(tmp_path / "plan.json"), str(tmp_path / "rows.jsonl")])
    assert (tmp_path / "rows.jsonl").exists(), done
    assert found_in(done) == [] and found_below([tmp_path]) == {}


KUBECONFIG = f"""
apiVersion: v1
kind: Config
current-context: c
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:1'}}}}]
users:
- name: u
  user:
    token: {TOKEN}
    password: {PASSWORD}
    auth-provider: {{name: oidc, config: {{client-secret: {CLIENT}, refresh-token: {REFRESH}, client-id: me}}}}
    exec: {{command: x, env: [{{name: API_KEY_TOKEN, value: {KEY}}}]}}
"""


def test_what_a_kubeconfig_keeps_secret_stays_so(tmp_path: Path) -> None:
    """Red when an exception that quotes a user of a kubeconfig shows a token, password or client secret."""
    place = tmp_path / "config"
    place.write_text(KUBECONFIG)
    learn_kubeconfig(place)
    told = hide(f"cannot use {KUBECONFIG!r}, with {json.dumps({'all': CANARIES})}")
    assert found_in(told) == [] and "client-id: me" in told
    assert found_in(_run([sys.executable, "-m", "gpuassay", "sweep", "--kubeconfig", str(place)])) == []


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["pytest", "--token", "abc", "-k", "x"], ["pytest", "--token", "[hidden]", "-k", "x"]),
        (["--hf-token=abc"], ["--hf-token=[hidden]"]),
        (["-o", "http://me:pw@host/x?a=1&api_key=k"], ["-o", "http://[hidden]@host/x?a=1&api_key=[hidden]"]),
        (["Authorization: Bearer abcdefghijklmnop1"], ["Authorization: Bearer [hidden]"]),
        (
            ["suites/llmd/test_tokens.py", "-k", "tokens or max_tokens"],
            ["suites/llmd/test_tokens.py", "-k", "tokens or max_tokens"],
        ),
        (["--run-dir=a=b", "-m", "not perf"], ["--run-dir=a=b", "-m", "not perf"]),
    ],
)
def test_a_command_line_is_kept_without_its_secrets(words: list[str], kept: list[str]) -> None:
    """Red when `run.json` tells a secret of the command line, or less than all the rest of it."""
    assert hide_words(words) == kept


@pytest.mark.parametrize(
    "text",
    ["put a bearer token that it accepts there", "basic authentication failed", "max_tokens=5", "a key=value pair",
     "user@host", "https://gate:8443/v1/models?limit=5", "Incorrect API key", "git@github.com:a/b", ""],
)  # fmt: skip
def test_ordinary_text_is_left_alone(text: str) -> None:
    """Red when words are taken for secrets."""
    assert hide(text) == text
