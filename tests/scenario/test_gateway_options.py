"""Options about somebody's gateway: what is wrong with one is one line before anything is asked."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from gpuassay.scenarios.declare import Scenario
from gpuassay.settings import Settings
from gpuassay.system import OWN_ARMS
from gpuassay.systems.llmd.existing.options import BadGatewayOption, MetricsAt, gateway_options
from gpuassay.systems.llmd.existing.rbac import plan_lines

GOOD = {"gateway_url": "https://gate.example:8443/llm/", "gateway_model": "m", "inference_pool": "serving/pool"}


def given(**values: object) -> Settings:
    names = (
        "gateway_url", "gateway_model", "gateway_profile", "gateway_api", "gateway_headers",
        "gateway_client_certificate", "inference_pool", "endpoint_selector", "endpoint_metrics",
        "epp_target",
    )  # fmt: skip
    empty = dict.fromkeys(names)
    told = {"cluster": "existing", "gateway_insecure": False, "mutant": None} | empty | values
    return Settings.of(argparse.Namespace(**told))


def test_what_is_named_is_understood() -> None:
    """Red when an option is lost, or the token can be seen."""
    found = gateway_options(
        given(**GOOD, endpoint_selector="app=x,vendor.io/tier="), {"GPUASSAY_GATEWAY_TOKEN": "s3cret"}
    )
    assert found is not None
    assert (found.url, found.namespace, found.pool, found.profile) == (
        "https://gate.example:8443/llm", "serving", "pool", "precise",
    )  # fmt: skip
    assert found.selector == {"app": "x", "vendor.io/tier": ""} and found.verify_tls
    assert found.headers == {"authorization": "Bearer s3cret"} and "s3cret" not in repr(found)


def test_the_environment_names_what_the_command_line_does_not() -> None:
    """Red when CI cannot give options by its environment, or the environment overrules the command line."""
    environ = {f"GPUASSAY_{name.upper()}": value for name, value in GOOD.items()}
    found = gateway_options(given(gateway_model="other"), environ)
    assert found is not None and (found.model, found.pool) == ("other", "pool")
    assert gateway_options(given(), {}) is None
    assert gateway_options(given(cluster="embedded"), environ) is None


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"cluster": "embedded", **GOOD}, "only with --cluster existing"),
        ({"inference_pool": "a/b"}, "--inference-pool: say also which gateway, with --gateway-url URL"),
        ({"gateway_insecure": True}, "--gateway-insecure: say also which gateway"),
        ({"gateway_url": "http://x"}, "--gateway-url needs also --gateway-model and --inference-pool"),
        (GOOD | {"gateway_url": "gate:80"}, "not of the form http://HOST"),
        (GOOD | {"gateway_url": "http://gate:99999"}, "not of the form http://HOST"),
        (GOOD | {"gateway_url": "http://gate/v1"}, "without /v1, which is added"),
        (GOOD | {"gateway_url": "http://me:pw@gate"}, "no credentials in the URL"),
        (GOOD | {"gateway_url": "htp://me:pw@gate"}, "no credentials in the URL"),
        (GOOD | {"gateway_url": "me:pw@gate:80"}, "no credentials in the URL"),
        (GOOD | {"gateway_url": "http://gate?key=pw"}, "a base URL ends before ? and #"),
        (GOOD | {"gateway_url": "http://[::1"}, "not of the form http://HOST"),
        (GOOD | {"inference_pool": "pool"}, "--inference-pool 'pool': not of the form NAMESPACE/NAME"),
        (GOOD | {"endpoint_selector": "app"}, "'app' is not of the form KEY=VALUE"),
        (GOOD | {"endpoint_selector": "app=a b"}, "is not of the form KEY=VALUE"),
        (GOOD | {"gateway_profile": "clever"}, "--gateway-profile 'clever': is none of precise, approximate"),
        (GOOD | {"gateway_api": "soap"}, "--gateway-api 'soap': is none of auto, completions, chat, responses"),
        (GOOD | {"gateway_model": ["a", "a"]}, "--gateway-model: names a model twice"),
        (GOOD | {"endpoint_metrics": "99999"}, "--endpoint-metrics '99999': not of the form"),
        (GOOD | {"endpoint_metrics": "ftp:1"}, "--endpoint-metrics 'ftp:1': not of the form"),
        (GOOD | {"gateway_headers": "/none"}, "--gateway-headers /none: No such file"),
        (GOOD | {"gateway_client_certificate": "/none"}, "--gateway-client-certificate /none: no PEM file"),
        (
            GOOD | {"gateway_url": "http://x", "gateway_client_certificate": "/none"},
            "a certificate is shown to a gateway of https:// only",
        ),
        ({"epp_target": "a:1"}, "--epp-target needs also --gateway-model and --inference-pool"),
        (GOOD | {"epp_target": "a"}, "--epp-target: 'a' is not of the form HOST:PORT"),
        ({"endpoint_tls": True}, "--endpoint-tls: say also which gateway"),
        (GOOD | {"mutant": "picker-random"}, "--mutant breaks gateways that we start"),
    ],
)
def test_an_option_that_is_wrong_is_one_line(options: dict[str, object], line: str) -> None:
    """Red when a misspelt option judges something else, or nothing, without a word."""
    with pytest.raises(BadGatewayOption, match=re.escape(line)) as caught:
        gateway_options(given(**options), {})
    assert "\n" not in str(caught.value) and "pw" not in str(caught.value)


def test_several_models_and_ways_are_understood(tmp_path: Path) -> None:
    """Red when a further model, the headers of a file, or where the metrics are is lost."""
    file = tmp_path / "headers"
    file.write_text("host: a.example\n")
    more = {"gateway_model": ["a", "b"], "gateway_headers": str(file), "endpoint_metrics": "https:9100/stats"}
    found = gateway_options(given(**GOOD | more, endpoint_tls=True), {"GPUASSAY_ENDPOINT_TOKEN": "s3cret"})
    assert found is not None and (found.model, found.models, found.api) == ("a", ("a", "b"), "auto")
    assert found.headers == {"host": "a.example"} and found.metrics == MetricsAt("https", 9100, "/stats")
    assert found.endpoint_tls and found.endpoint_token == "s3cret" and "s3cret" not in repr(found)
    environ = {f"GPUASSAY_{name.upper()}": value for name, value in GOOD.items()} | {"GPUASSAY_GATEWAY_MODEL": "a,b"}
    again = gateway_options(given(endpoint_metrics="/stats"), environ)
    assert again is not None and again.models == ("a", "b") and again.metrics == MetricsAt("", 0, "/stats")


def test_a_picker_alone_needs_no_gateway() -> None:
    """Red when somebody's picker cannot be judged without its gateway, or the run's header does not name it."""
    found = gateway_options(given(epp_target="a:9002", gateway_model="m", inference_pool="ns/pool"), {})
    assert found is not None and (found.url, found.epp_target) == ("", "a:9002")
    assert found.named == "the endpoint picker a:9002"
    both = gateway_options(given(epp_target="a:9002", **GOOD), {})
    assert both is not None and both.named.startswith(
        "the gateway https://gate.example:8443/llm, said to be precise and"
    )


def test_a_token_that_is_none_is_refused_without_being_shown() -> None:
    """Red when a broken secret is sent, or printed."""
    with pytest.raises(BadGatewayOption, match="no spaces") as caught:
        gateway_options(given(**GOOD), {"GPUASSAY_GATEWAY_TOKEN": "two words"})
    assert "two" not in str(caught.value)


def test_the_line_end_of_a_tokens_file_is_no_part_of_it() -> None:
    """Red when a token that was read from a file is refused, or sent with the line end."""
    named = gateway_options(given(**GOOD), {"GPUASSAY_GATEWAY_TOKEN": "s3cret\n"})
    assert named is not None and named.headers == {"authorization": "Bearer s3cret"}


def test_the_plan_says_what_would_be_asked_and_which_rights_it_takes() -> None:
    """Red when a user cannot see beforehand that nothing is written, and what may be read."""

    def one(name: str, *needs: str) -> Scenario:
        return Scenario(name, lambda _: None, "routing", "default", "", frozenset({"routing", *needs}), 1, "m")

    named = gateway_options(given(**GOOD), {})
    assert named is not None
    lines = "\n".join(plan_lines(named, [one("llmd.a"), one("llmd.b", OWN_ARMS)]))
    assert "1 scenarios can be acted out from outside, 1 are skipped by type\n  llmd.a\n" in lines
    assert "permissions in namespace serving" in lines and "nothing is created or changed" in lines
    assert "inference.networking.k8s.io: inferencepools: get list watch" in lines
    assert "delete" not in lines
