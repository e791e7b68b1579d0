"""What scenarios do with an arm that stands on somebody's cluster: what is left out, what is refused, which images."""

from __future__ import annotations

import argparse
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import pytest

from gpuassay.cluster.errors import NotFromOutside
from gpuassay.cluster.own_image import NAME
from gpuassay.settings import Settings
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts import epp
from gpuassay.systems.llmd.acts.deployment import Deployment
from gpuassay.systems.llmd.existing.options import BadGatewayOption, take
from gpuassay.systems.llmd.pods import names
from tests.noting import Noting

MIRROR, DIGEST = "mirror.example/all", "sha256:" + "a" * 64


@pytest.fixture(autouse=True)
def taken_back() -> Generator[None]:
    yield
    names.give(None, None)


def option(**given: object) -> Settings:
    empty = dict.fromkeys(("gateway_url", "gateway_model", "gateway_profile", "inference_pool", "endpoint_selector"))
    more = {"cluster": "existing", "prompts": None, "arm_image": None, "mirror": None}
    return Settings.of(argparse.Namespace(**empty | more | given))


def test_a_change_that_no_pod_can_show_is_left_out_by_its_name() -> None:
    """Red when one change costs a scenario all others, a name is lost, or a real error is swallowed."""
    lab: Any = Noting()
    with epp.where_possible(lab, "address changed", "address back"):
        raise NotFromOutside("the network gives it")
    assert lab.noted(notes.NOT_POSSIBLE) == dict.fromkeys(("address changed", "address back"), "the network gives it")
    with pytest.raises(ValueError, match="broken"), epp.where_possible(lab, "other"):
        raise ValueError("broken")


def test_load_through_the_api_server_is_refused() -> None:
    """Red when figures of a gateway are those of the way to it."""
    lab: Any = Noting()
    lab.mutant = None
    routing: Any = SimpleNamespace(at_hand=False)
    with pytest.raises(NotFromOutside, match="from inside"):
        Deployment(lab, routing).load("wave", {}, [])


@pytest.mark.parametrize(
    ("given", "own", "upstream"),
    [
        ({}, NAME, "ghcr.io/a/b:1"),
        ({"arm_image": "mine.example:5000/x:2"}, "mine.example:5000/x:2", "ghcr.io/a/b:1"),
        ({"mirror": MIRROR}, f"{MIRROR}/{NAME.partition('/')[2]}", f"{MIRROR}/a/b:1"),
        ({"mirror": MIRROR, "arm_image": f"mine.example/x@{DIGEST}"}, f"mine.example/x@{DIGEST}", f"{MIRROR}/a/b:1"),
    ],
)
def test_images_are_pulled_where_the_user_says(given: dict[str, object], own: str, upstream: str) -> None:
    """Red when a site without access to the world cannot say where its images are, or its word is changed."""
    take(option(**given))
    assert (names.own(), names.pulled("ghcr.io/a/b:1")) == (own, upstream)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"arm_image": "x:1", "cluster": "embedded"}, "--arm-image: only with --cluster existing"),
        ({"arm_image": ""}, "--arm-image '': not of the form REGISTRY/NAME:TAG"),
        ({"arm_image": "two words"}, "--arm-image 'two words': not of the form"),
        ({"arm_image": "https://x/y:1"}, "--arm-image 'https://x/y:1': not of the form"),
    ],
)
def test_an_image_that_is_none_is_one_line(given: dict[str, object], line: str) -> None:
    """Red when a slip is found out by a pod that waits for its image."""
    with pytest.raises(BadGatewayOption) as refused:
        take(option(**given))
    assert str(refused.value).startswith(line)
