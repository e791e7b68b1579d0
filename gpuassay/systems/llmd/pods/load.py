"""Load on an arm of a cluster from pods beside it, so that times are not those of the API server's proxy."""

from __future__ import annotations

import secrets

from gpuassay.cluster.api import Api
from gpuassay.load.plan import ClosedLoop, Plan, Shape
from gpuassay.load.spread import Spread
from gpuassay.load.spread_job import Pods, spread
from gpuassay.systems.llmd.pods import names

STREAMS = 32
"""Of one pod; a load of more streams is spread over several."""
START_SECONDS = 20.0
"""From the creation of the Job to the first ask: a pod has its image by then."""
LATEST_SECONDS = 60.0
"""How much later a pod that is alone may begin: nobody waits for it."""
APART_SECONDS = 1.0
"""How far apart several may begin."""


def count_of(shape: Shape, asks: int) -> int:
    """How many pods a load takes."""
    streams = shape.concurrency if isinstance(shape, ClosedLoop) else STREAMS
    return max(1, min(-(-streams // STREAMS), asks))


def from_pods(api: Api, namespace: str, plan: Plan, run: str) -> Spread:
    """Carry out a plan in pods of the namespace, in gpuassay's own image.

    Args:
        api: the cluster.
        namespace: where the Job is made.
        plan: its URL is one that pods reach.
        run: whose label the Job carries.

    Raises:
        gpuassay.load.errors.LoadError: a pod is lost, or the plan cannot be carried out; pods are named.
    """
    count = count_of(plan.shape, len(plan.asks))
    latest = LATEST_SECONDS if count == 1 else APART_SECONDS
    name = f"load-{secrets.token_hex(3)}"
    return spread(api, plan, Pods(namespace, names.own(), count, START_SECONDS, name, run, latest))
