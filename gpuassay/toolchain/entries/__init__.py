"""What is built from what: a module per field, an entry per component, a go.mod per entry or family.

Whoever adds a component adds its entry here, and its go.mod and go.sum as a folder in `gpuassay/toolchain/modules`.
"""

from gpuassay.toolchain.component import Component
from gpuassay.toolchain.entries.kubernetes import KUBERNETES
from gpuassay.toolchain.entries.kueue import KUEUE
from gpuassay.toolchain.entries.node import NODE_PROGRAMS
from gpuassay.toolchain.entries.routing import ROUTING
from gpuassay.toolchain.entries.slices import SLICES
from gpuassay.toolchain.entries.words import ONE_PROGRAM

OWN: dict[str, Component] = {entry.name: entry for entry in (*KUEUE, *KUBERNETES, *ROUTING, *SLICES, *NODE_PROGRAMS)}
"""Every component at the suite's own version, by name, in the order in which they are built."""

ALTERED = {
    "controlplane@1.37.1": ONE_PROGRAM,
    "nvidia-dra@0.4.1": "",
}
"""How other versions differ from what upstream publishes, where that is not as of the suite's own version."""

__all__ = ["ALTERED", "OWN"]
