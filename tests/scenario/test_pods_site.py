"""What scenarios do with an arm that stands on somebody's cluster: what is left out, what is refused, which images."""

from __future__ import annotations

import argparse
from collections.abc import Generator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from gpuassay.cluster.errors import NotFromOutside
from gpuassay.cluster.own_image import NAME
from gpuassay.load.gate import Control
from gpuassay.load.plan import ClosedLoop, Plan
from gpuassay.load.spread_job import Pods
from gpuassay.load.timing import EchoTiming
from gpuassay.settings import Settings
from gpuassay.systems.llmd import notes
from gpuassay.systems.llmd.acts import epp
from gpuassay.systems.llmd.acts.deployment import Deployment
from gpuassay.systems.llmd.existing.options import BadGatewayOption, take
from gpuassay.systems.llmd.objects.prompts import prompt_set
from gpuassay.systems.llmd.pods import load, names
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


@pytest.mark.parametrize(("streams", "pods", "latest"), [(16, 1, 60.0), (48, 2, 1.0)])
def test_load_comes_from_pods_beside_the_arm(
    monkeypatch: pytest.MonkeyPatch, streams: int, pods: int, latest: float
) -> None:
    """Red when figures of a gateway are those of the way to it, or the error of the worst pod is not kept."""
    asked: list[tuple[Plan, Pods]] = []
    controls = [control(error) for error in (0.2, 0.7, 0.4)]

    def spread(api: object, plan: Plan, chosen: Pods) -> Any:
        asked.append((plan, chosen))
        return SimpleNamespace(
            notes=[SimpleNamespace(control=one) for one in controls],
            result=SimpleNamespace(rows=[], tail=SimpleNamespace(busy_share=0.5)),
        )

    monkeypatch.setattr(load, "spread", spread)
    lab: Any = Noting()
    lab.mutant, lab.api, lab.run_id, lab.rows = None, object(), "run-1", Mock(return_value=[])
    routing: Any = SimpleNamespace(
        at_hand=False, url="http://127.0.0.1:4711", model="m", namespace="ns",
        inside={"http://127.0.0.1:4711": "http://10.0.0.9:8081"}.__getitem__,
    )  # fmt: skip
    prompts = {one.label: one for one in prompt_set([20] * 50, seed=1)}
    Deployment(lab, routing).load("arm/16/1/cold", prompts, list(prompts), ClosedLoop(streams))
    [(plan, chosen)] = asked
    assert plan.url == "http://10.0.0.9:8081" and len(plan.asks) == 50
    assert (chosen.namespace, chosen.count, chosen.latest, chosen.run) == ("ns", pods, latest, "run-1")
    assert lab.noted(notes.POD_CONTROLS) == {"arm/16/1/cold": controls[1]}


def control(error: float) -> Control:
    return Control(
        asked=1, ok=1, concurrency=1, body_bytes=1, timing=EchoTiming(), error_p50=error, error_p99=error, lag_p50=0.0,
        lag_p99=0.0, server_p99=0.0, rate_share=1.0, cpu_share=0.1,
    )  # fmt: skip


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
