"""Do KV-cache events reach the endpoint picker? Asked the only way that cannot lie: warm a replica, see who is picked.

No signal of any program tells it. A picker whose events get lost is SERVING, knows all endpoints and answers 200.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Callable, Sequence

from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.parallel import side_by_side
from gpuassay.cluster.program import ANSWER_SECONDS, http
from gpuassay.load.headers import POD
from gpuassay.systems.llmd.component.extproc import ExternalProcessing
from gpuassay.systems.llmd.component.simulator import Replica, completion
from gpuassay.waiting import wait

BLOCKS = 4
"""Full blocks of a probe's prompt."""
FALSE_ALARM = 1e-6
"""Chance that a picker which guesses is right in every probe of one round; with one replica it always is."""

_serial = itertools.count()


def fresh_prompt(blocks: int, block_size: int) -> str:
    """A prompt of exactly `blocks` full blocks that nobody has asked before: its first word is unique."""
    words = blocks * block_size
    return f"probe{os.getpid()}x{next(_serial)} " + "and " * (words - 1)


def served_by(url: str, model: str, prompt: str) -> str:
    """Name of the Pod that answers a completion asked of a gateway.

    Raises:
        ClusterError: no answer, another one than 200, or one that does not name its Pod.
    """
    _, name = completion(http(), url, model, prompt, 1, ANSWER_SECONDS)
    if not name:
        raise ClusterError(f"an answer of {url} has no header {POD}: who served it cannot be told")
    return name


def picked_by(target: str, model: str, prompt: str) -> str:
    """`address:port` that the picker at `target` chooses for a completion.

    Raises:
        ClusterError: it chooses none.
    """
    with ExternalProcessing(target) as picker:
        return picker.pick(json.dumps({"model": model, "prompt": prompt, "max_tokens": 1}).encode())


def await_all_picked(target: str, endpoints: Sequence[str], timeout: float = 15) -> None:
    """Wait until a picker that picks in turn has picked every endpoint in one turn; requests have no body.

    Raises:
        gpuassay.waiting.WaitTimeout: it does not; what it picked last is shown.
    """
    with ExternalProcessing(target) as picker:

        def turn() -> set[str | None]:
            return {picker.ask(None, path="/v1/models").destination for _ in endpoints}

        wait(turn, set(endpoints).__eq__, what="the endpoint picker to know all endpoints", timeout=timeout)


def rounds(replicas: int) -> int:
    """How often each replica is probed in one round: n replicas k times each are all guessed with chance n**-(n*k).

    With one replica there is nothing to guess: the probe then says only that it answers.
    """
    needed = 1 if replicas == 1 else math.ceil(math.log(1 / FALSE_ALARM, replicas))
    return -(-needed // replicas)


def await_events(
    replicas: Sequence[Replica], picked: Callable[[str], str], model: str, block_size: int, timeout: float
) -> None:
    """Repeat rounds until every replica, warmed directly with a fresh prompt, is picked for that prompt.

    Args:
        replicas: all of the pool.
        picked: name of the replica to which a prompt goes.
        model: name of the served model.
        block_size: tokens per block.
        timeout: seconds.

    Raises:
        gpuassay.waiting.WaitTimeout: in no round all were; shown are those that failed in the last one.
    """
    probes = list(replicas) * rounds(len(replicas))

    def missed(replica: Replica) -> str | None:
        prompt = fresh_prompt(BLOCKS, block_size)
        replica.complete(prompt)
        try:
            instead = picked(prompt)
        except ClusterError as error:
            return f"{replica.name}: {error}"
        return None if instead == replica.name else f"{replica.name}: {instead} was picked"

    def round_of_probes() -> list[str]:
        return [miss for miss in side_by_side(missed, probes) if miss]

    wait(
        round_of_probes, lambda misses: not misses, timeout=timeout, delay=0.01,
        what="KV-cache events of all model servers to reach the endpoint picker",
    )  # fmt: skip
