"""The library against an independent model of MIG: any sequence of calls, every GPU model."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuassay.gpus import MODELS
from gpuassay.silicon import NvmlError, Silicon
from gpuassay.silicon.client import Nvml
from tests.silicon.bruteforce import OneGpu
from tests.silicon.conftest import Bench


def _code(call: Callable[[], object]) -> int:
    try:
        call()
    except NvmlError as error:
        return error.code
    return 0


def _step(source: random.Random, nvml: Nvml, brute: OneGpu) -> tuple[str, int, int]:
    """One random call on both; its words, the library's answer and the model's."""
    gpu = nvml.gpu(0)
    ids = [*brute.instances, 3, 14]
    kind = source.choice(["create", "create", "create", "destroy", "compute", "compute", "uncompute"])
    number = source.choice(ids)
    if kind == "create":
        profile, start = source.randrange(len(brute.model.profiles)), source.randrange(brute.model.memory_slices)
        wanted = brute.model.profiles[profile]
        answer = _code(lambda: nvml.create_gpu_instance(gpu, wanted.profile_id, start, wanted.size))
        return f"create {wanted.name} at {start}", answer, brute.create(profile, start)
    if kind == "destroy":
        answer = _code(lambda: nvml.destroy_gpu_instance(nvml.gpu_instance(gpu, number)))
        return f"destroy {number}", answer, brute.destroy(number)
    if kind == "compute":
        slices = source.choice([1, 2, 3, 4, 7])
        index = [1, 2, 3, 4, 7].index(slices)
        answer = _code(lambda: nvml.create_compute_instance(nvml.gpu_instance(gpu, number), index))
        return f"compute {slices} in {number}", answer, brute.create_compute(number, slices)
    compute = source.randrange(3)

    def remove() -> None:
        nvml.destroy_compute_instance(nvml.compute_instance(nvml.gpu_instance(gpu, number), compute))

    return f"destroy compute {compute} of {number}", _code(remove), brute.destroy_compute(number, compute)


def _seen(silicon: Silicon) -> list[tuple[int, str, int, int]]:
    return [(one.gpu_instance, one.profile, one.start, len(one.uuids)) for one in silicon.slices()]


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 60))
def test_any_sequence_of_calls_gets_the_answers_of_the_model(bench: Bench, model: str, seed: int, steps: int) -> None:
    """Red if a placement, a limit, an overlap or an in-use rule of the library differs from the model's."""
    silicon, nvml = bench.open((model,))
    brute, source, done = OneGpu(MODELS[model]), random.Random(seed), list[str]()
    for _ in range(steps):
        words, answer, expected = _step(source, nvml, brute)
        done.append(f"{words}: {answer}")
        assert answer == expected, done
    expected = sorted(
        (
            (one.id, brute.model.profiles[one.profile].name, one.start, len(one.compute))
            for one in brute.instances.values()
        ),
        key=lambda row: row[2],
    )
    assert _seen(silicon) == expected


@pytest.mark.parametrize("model", MODELS)
def test_the_library_tells_the_placements_of_the_table(bench: Bench, model: str) -> None:
    """Red if the library's copy of a profile or of its starts differs from the table's."""
    _, nvml = bench.open((model,))
    gpu = nvml.gpu(0)
    for profile in MODELS[model].profiles:
        assert nvml.placements(gpu, profile.profile_id) == [(start, profile.size) for start in profile.starts]
        assert nvml.remaining_capacity(gpu, profile.profile_id) == len(profile.starts)


@pytest.mark.parametrize("model", MODELS)
def test_a_legal_set_never_has_more_compute_slices_than_the_gpu(model: str) -> None:
    """Red if the table lets compute slices be given twice: the profiles' names and their placements disagree."""
    brute = OneGpu(MODELS[model])
    whole = max(profile.compute_slices for profile in MODELS[model].profiles)
    source = random.Random(model)
    for _ in range(300):
        brute.instances.clear()
        tries = [(p, s) for p, profile in enumerate(MODELS[model].profiles) for s in profile.starts]
        for profile, start in source.sample(tries, len(tries)):
            brute.create(profile, start)
        assert sum(MODELS[model].profiles[one.profile].compute_slices for one in brute.instances.values()) <= whole


def test_mig_cannot_be_switched_off_while_there_are_slices(bench: Bench) -> None:
    """Red if slices can vanish under their users, or can be made while MIG is off."""
    _, nvml = bench.open()
    gpu = nvml.gpu(0)
    instance = nvml.create_gpu_instance(gpu, 19, 0, 1)
    assert _code(lambda: nvml.set_mig_mode(gpu, 0)) == 19
    nvml.destroy_gpu_instance(instance)
    nvml.set_mig_mode(gpu, 0)
    assert _code(lambda: nvml.create_gpu_instance(gpu, 19, 0, 1)) == 3
    nvml.set_mig_mode(gpu, 1)
    nvml.create_gpu_instance(gpu, 19, 0, 1)


def test_a_handle_of_a_slice_that_is_gone_does_not_reach_the_next_at_its_place(bench: Bench) -> None:
    """Red if a client that kept an old handle can destroy somebody else's slice."""
    _, nvml = bench.open()
    gpu = nvml.gpu(0)
    old = nvml.create_gpu_instance(gpu, 19, 0, 1)
    nvml.destroy_gpu_instance(old)
    nvml.create_gpu_instance(gpu, 19, 0, 1)
    assert _code(lambda: nvml.destroy_gpu_instance(old)) == 6


@pytest.mark.parametrize("unique", [True, False])
def test_uuids_are_new_each_time_or_the_same_at_the_same_place(bench: Bench, unique: bool) -> None:
    """Red if a stale UUID cannot be told (unique), or a static layout changes its names by itself (deterministic)."""
    silicon, nvml = bench.open(unique_uuids=unique)
    seen: list[tuple[str, ...]] = []
    for _ in range(2):
        instance = nvml.create_gpu_instance(nvml.gpu(0), 9, 4, 4)
        compute = nvml.create_compute_instance(instance, 2)
        seen.append(silicon.slices()[0].uuids)
        nvml.destroy_compute_instance(compute)
        nvml.destroy_gpu_instance(instance)
    assert (seen[0] != seen[1]) is unique
    assert nvml.name(nvml.gpu(0)) == "NVIDIA A100-SXM4-40GB"
