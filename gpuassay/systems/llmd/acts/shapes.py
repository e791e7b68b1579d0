"""Requests of many shapes, each asked of a model server directly and again through the gateway.

What the model server answers directly is what is expected, so no row of a table says what should come: a new path or
field is one line more. Answers are compared by meaning (`judge.shapes`); what differs from ask to ask is left out here.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from gpuassay.load.headers import POD
from gpuassay.systems.llmd.readings import SHAPES
from gpuassay.systems.llmd.rows import ShapeRow

if TYPE_CHECKING:
    from gpuassay.systems.llmd.acts.deployment import Deployment

PATIENCE = 5.0
"""Seconds for one request."""
GIVEN_UP = 3
"""Requests without an answer in a row, after which no more are sent."""
SHOWN = 1500
"""Characters of an answer's meaning that are kept."""

_OWN = re.compile(r"^(id|created|created_at|completed_at|item_id|response_id|call_id|system_fingerprint|request_id)$")
"""Fields that a server makes up anew for each answer."""
_OF_CACHE = frozenset({"prompt_tokens_details", "input_tokens_details", "cached_tokens", "cache_read_input_tokens"})
"""Fields of usage that tell of what was asked before, not of the request."""
DIRECT, THROUGH = "direct", "gateway"


@dataclass(frozen=True)
class Shape:
    """One request.

    Attributes:
        group: what it is about; one behaviour judges a group.
        label: names it within the group.
        path: with its query string.
        body: as JSON, as bytes, or None for a request without one; `MODEL` stands for the served model's name.
        method: HTTP method.
        headers: further ones; one name may come several times.
        without: headers of ours to leave out.
    """

    group: str
    label: str
    path: str = "/v1/completions"
    body: Any = None
    method: str = "POST"
    headers: Sequence[tuple[str, str]] = ()
    without: Sequence[str] = field(default=())


MODEL = "{model}"
"""Stands for the served model's name in the body of a shape."""


def ask_shapes(site: Deployment, shapes: Sequence[Shape], *, directly: bool = True) -> None:
    """Ask each shape of the first replica, if `directly`, and through the gateway; rows go to the recording.

    A gateway that gives no answer several times in a row is asked no more: the judge misses the others.
    """
    if site.lab.mutant is not None:
        site.lab.mutant.disturb(site.routing)
    silent = 0
    for shape in shapes:
        if directly:
            ask_shape(site, shape, site.replicas[0].url)
        row = ask_shape(site, shape)
        site.through[f"{shape.method} {row.status // 100}xx" if row.status else "none"] += 1
        silent = 0 if row.status else silent + 1
        if silent == GIVEN_UP:
            return


def ask_shape(site: Deployment, shape: Shape, url: str | None = None) -> ShapeRow:
    """Ask one shape of the server at a URL, or through the gateway; the row goes to the recording."""
    at = urlsplit(url or site.routing.url)
    row = _ask(shape, THROUGH if url is None else DIRECT, str(at.hostname), at.port or 80, site.routing.model)
    site.lab.rows(SHAPES).append(row)
    return row


def body_of(shape: Shape, model: str) -> bytes | None:
    """The bytes of a shape's body."""
    if shape.body is None or isinstance(shape.body, bytes):
        return shape.body
    return json.dumps(shape.body).replace(MODEL, model).encode()


def _ask(shape: Shape, hop: str, host: str, port: int, model: str) -> ShapeRow:
    row = ShapeRow(group=shape.group, label=shape.label, hop=hop)
    body = body_of(shape, model)
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    began = time.monotonic()
    try:
        connection.putrequest(shape.method, shape.path, skip_accept_encoding=True)
        if body is not None and "content-type" not in shape.without:
            connection.putheader("content-type", "application/json")
        if body is not None:
            connection.putheader("content-length", str(len(body)))
        for name, value in shape.headers:
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        row.status = answer.status
        text = answer.read()
        row.headers = [[name.lower(), value] for name, value in answer.getheaders()]
        row.kind = (answer.headers.get("content-type") or "").partition(";")[0].strip().lower()
        row.served_by = answer.headers.get(POD) or ""
        row.meaning = meaning(text, row.kind)[:SHOWN] if answer.status < 400 else ""
        row.detail = text[:200].decode(errors="replace") if answer.status >= 400 else ""
    except TimeoutError:
        row.error = "timeout"
    except (OSError, http.client.HTTPException) as error:
        row.error = f"{type(error).__name__}: {error}"[:200]
    finally:
        connection.close()
    row.took_s = round(time.monotonic() - began, 4)
    return row


def meaning(text: bytes, kind: str) -> str:
    """What an answer means: JSON with sorted keys and without what servers make up; of a stream all its events."""
    if kind == "text/event-stream":
        lines = [line.decode(errors="replace") for line in text.splitlines() if line.strip()]
        return "\n".join(_event(line) for line in lines)
    try:
        return json.dumps(_plain(json.loads(text)), sort_keys=True)
    except ValueError:
        return text.decode(errors="replace")


def _event(line: str) -> str:
    name, _, data = line.partition(": ")
    try:
        return f"{name}: {json.dumps(_plain(json.loads(data)), sort_keys=True)}"
    except ValueError:
        return line


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        known = cast("Mapping[str, Any]", value)
        return {key: _plain(one) for key, one in known.items() if not _OWN.match(key) and key not in _OF_CACHE}
    if isinstance(value, list):
        return [_plain(one) for one in cast("Sequence[Any]", value)]
    return value
