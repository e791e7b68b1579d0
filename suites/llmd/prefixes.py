"""Prompts that share a beginning, and replicas that cache some of it behind the picker's back."""

from __future__ import annotations

from gpuassay.systems.llmd.acts.deployment import Deployment
from gpuassay.systems.llmd.objects.prompts import Prompt


def beginning(prompt: Prompt, tokens: int) -> Prompt:
    """The first tokens of a prompt, under a label of their own."""
    kept = "".join(f"{word} " for word in prompt.text.split()[:tokens])
    return Prompt(f"{prompt.label}/{tokens}", kept, tokens)


def put(site: Deployment, prompts: list[Prompt], replica: int) -> None:
    """Warm one replica with prompts, and wait for its events."""
    site.warm({one.label: site.replicas[replica] for one in prompts}, {one.label: one for one in prompts})
