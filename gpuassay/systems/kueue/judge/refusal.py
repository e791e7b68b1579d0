"""Was a bad object refused, by the gate that should, and only because of its fault?"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gpuassay.record.recording import Attempt

SCHEMA = "schema"
"""The gate of the API server itself: types, limits and rules written in the CustomResourceDefinition."""

_WEBHOOK = re.compile(r'admission webhook "([^"]+)" denied the request')
_SCHEMA = re.compile(r"\S+ \"[^\"]*\" is invalid: ")


def gate_of(message: str) -> str:
    """Who refused: a webhook's name, `SCHEMA`, or "" when the server's message names neither."""
    webhook = _WEBHOOK.search(message)
    if webhook:
        return webhook[1]
    return SCHEMA if _SCHEMA.match(message) else ""


def twin_label(label: str) -> str:
    """Label of the attempt with the healthy twin of `label`."""
    return f"{label}, healthy twin"


def refusal_findings(attempts: Mapping[str, Attempt], label: str, gate: str, says: str) -> list[str]:
    """What is wrong with a refusal; empty when all is as it should be.

    Args:
        attempts: those of a recording, by label.
        label: of the attempt with the bad object; its healthy twin is labelled `twin_label(label)`.
        gate: who has to refuse: the name of a webhook, or `SCHEMA`.
        says: part of the server's message that tells the user what is wrong.
    """
    if label not in attempts or twin_label(label) not in attempts:
        return [f"{label}: was not attempted together with its healthy twin"]
    bad, twin = attempts[label], attempts[twin_label(label)]
    found: list[str] = []
    if not twin.accepted:
        found.append(f"{label}: its healthy twin is refused too, so a refusal proves nothing: {twin.message}")
    if bad.accepted:
        return [*found, f"{label}: expected {gate} to refuse it, but it was accepted"]
    message = bad.message
    if not 400 <= bad.status < 500:
        found.append(f"{label}: expected status 4xx, seen {bad.status}: {message}")
    if gate_of(message) != gate:
        found.append(f"{label}: expected {gate} to refuse it, seen {gate_of(message) or 'somebody else'}: {message}")
    if says not in message:
        found.append(f"{label}: expected the message to say {says!r}, seen: {message}")
    return found
