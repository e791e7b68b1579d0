"""Options about somebody's gateway: what is wrong with one is one line before anything is asked."""

from __future__ import annotations

import argparse
import re

import pytest

from gpuassay.scenarios.declare import Scenario
from gpuassay.system import OWN_ARMS
from gpuassay.systems.llmd.existing.options import BadGatewayOption, gateway_options
from gpuassay.systems.llmd.existing.rbac import plan_lines

GOOD = {"gateway_url": "https://gate.example:8443/llm/", "gateway_model": "m", "inference_pool": "serving/pool"}


def given(**values: object) -> argparse.Namespace:
    empty = dict.fromkeys(("gateway_url", "gateway_model", "gateway_profile", "inference_pool", "endpoint_selector"))
    return argparse.Namespace(**{"cluster": "existing", "gateway_insecure": False, "mutant": None} | empty | values)


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
        (GOOD | {"gateway_profile": "clever"}, "is none of precise, approximate"),
        (GOOD | {"mutant": "picker-random"}, "--mutant breaks gateways that we start"),
    ],
)
def test_an_option_that_is_wrong_is_one_line(options: dict[str, object], line: str) -> None:
    """Red when a misspelt option judges something else, or nothing, without a word."""
    with pytest.raises(BadGatewayOption, match=re.escape(line)) as caught:
        gateway_options(given(**options), {})
    assert "\n" not in str(caught.value) and "pw" not in str(caught.value)


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
