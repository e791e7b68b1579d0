"""Whether the GPU Operator's MIG manager has cut a node anew, and back, from the node's labels.

Source: NVIDIA GPU Operator's documentation of MIG (`nvidia.com/mig.config`, `nvidia.com/mig.config.state`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec

from gpuassay.record.notes import Note

CONFIG = "nvidia.com/mig.config"
STATE = "nvidia.com/mig.config.state"
DEPLOY = "nvidia.com/gpu.deploy."
ALLOWED = {"pending": {"rebooting", "success", "failed"}, "rebooting": {"pending", "success", "failed"}}
"""Which state may follow which, until success or failure."""


class Recut(msgspec.Struct, frozen=True, omit_defaults=True):
    """A node that was cut anew and back.

    Attributes:
        node: its name.
        former: the configuration that it had.
        trial: the configuration that was tried.
        there: the node's labels in turn, from before the trial was chosen.
        back: likewise, from before the former one was chosen.
        offered_there: what was wrong with the node's labels and offers once the trial was said to be applied.
        offered_back: likewise for the former one.
    """

    node: str
    former: str
    trial: str
    there: list[dict[str, str]]
    back: list[dict[str, str]]
    offered_there: list[str] = []
    offered_back: list[str] = []


RECUT = Note("recut", Recut, "a node that the MIG manager was asked to cut anew, and back")


def change_findings(changes: Sequence[Mapping[str, str]]) -> list[str]:
    """What is wrong with the labels that a node had in turn, from the moment at which a configuration was chosen.

    Each entry holds all labels of `CONFIG`, `STATE` and `DEPLOY`. The first is from before the choice.
    """
    if not changes:
        return ["nothing was seen of the node"]
    before, after = changes[0], changes[1:]
    states: list[str] = []
    for one in after:
        state = one.get(STATE, "")
        if state and (not states or states[-1] != state):
            states.append(state)
    if states[:1] == [before.get(STATE)] and len(states) > 1:
        states.pop(0)  # the state of the change before, until the manager has taken notice
    found: list[str] = []
    if not states or "pending" not in states:
        found.append(f"the state never was pending: {', '.join(states) or 'no state'}")
    if not states or states[-1] != "success":
        found.append(f"the state in the end is {states[-1] if states else 'missing'}, expected success")
    found += [f"state {b} followed {a}" for a, b in pairwise(states) if b not in ALLOWED.get(a, set())]
    last: Mapping[str, str] = after[-1] if after else {}
    for label, value in before.items():
        if label.startswith(DEPLOY) and last.get(label) != value:
            found.append(f"{label} is {last.get(label, 'missing')!r} in the end, it was {value!r}")
    return found


def recut_findings(recut: Recut) -> list[str]:
    """The node was cut as the trial says, then back to what it had, and offered what it was cut into each time."""
    there, back = recut.there, recut.back
    found = [f"to {recut.trial}: {text}" for text in change_findings(there)]
    found += [f"back to {recut.former}: {text}" for text in change_findings(back)]
    found += [f"cut as {recut.trial}, {text}" for text in recut.offered_there]
    found += [f"cut as {recut.former} again, {text}" for text in recut.offered_back]
    if there and there[-1].get(CONFIG) != recut.trial:
        found.append(f"the node's configuration is {there[-1].get(CONFIG)}, expected {recut.trial}")
    return found
