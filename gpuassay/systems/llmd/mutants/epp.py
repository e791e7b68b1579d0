"""Broken endpoint pickers: each stands between a test and a picker that works, and answers as a broken one would.

A picker that breaks its protocol cannot be configured, so a mutant changes messages on their way: `sent` is what the
picker gets, `answered` what the test gets. Only streams that are opened by `gpuassay.systems.llmd.acts.epp` pass a
mutant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from gpuassay.load.headers import DESTINATION
from gpuassay.manifest import Manifest
from gpuassay.systems.llmd.mutants.arm import arm_mutant

if TYPE_CHECKING:
    from gpuassay.systems.llmd.component.deployment import Routing
    from gpuassay.systems.llmd.component.spec import Arm

_NOWHERE = "127.0.0.1:1"


class Broken:
    """One stream of a picker that works; subclasses break something."""

    holds_streams: ClassVar[bool] = False
    """Whether it goes on with a stream that its client has left."""

    def sent(self, message: Any) -> Any:
        """The ProcessingRequest that the picker gets instead of `message`."""
        return message

    def answered(self, message: Any) -> Sequence[Any]:
        """The ProcessingResponses that the client gets instead of `message`."""
        return [message]

    @classmethod
    def health(cls, said: str) -> str:
        """The health status that the client gets instead of `said`."""
        return said

    @classmethod
    def samples(cls, rows: list[Manifest]) -> list[Manifest]:
        """The samples of metrics that the client gets instead of `rows`."""
        return rows


BROKEN: dict[str, type[Broken]] = {}
"""By name of the mutant."""


def _unchanged(arm: Arm) -> Arm:
    return arm


def picker_mutant(name: str, breaks: str) -> Callable[[type[Broken]], type[Broken]]:
    """Register a broken picker."""

    def register(made: type[Broken]) -> type[Broken]:
        arm_mutant(name, breaks, layer="protocol")(_unchanged)
        BROKEN[name] = made
        return made

    return register


def _set_destination(message: Any, endpoint: str) -> None:
    """Let an answer to request headers name `endpoint` in header and metadata."""
    for option in message.request_headers.response.header_mutation.set_headers:
        if option.header.key.lower() == DESTINATION:
            option.header.raw_value = endpoint.encode()
    message.dynamic_metadata.fields["envoy.lb"].struct_value.fields[DESTINATION].string_value = endpoint


def _refusal(message: Any, status: int) -> Any:
    refused = type(message)()
    refused.immediate_response.status.code = status
    return refused


# --- requests --------------------------------------------------------------------------------------------------------


@picker_mutant("epp-metadata-lost", "the picker names its choice in the header alone")
class _MetadataLost(Broken):
    def answered(self, message: Any) -> Sequence[Any]:
        message.ClearField("dynamic_metadata")
        return [message]


@picker_mutant("epp-foreign-endpoint", "the picker names an endpoint that is not in the pool")
class _Foreign(Broken):
    def answered(self, message: Any) -> Sequence[Any]:
        if message.WhichOneof("response") == "request_headers":
            _set_destination(message, _NOWHERE)
        return [message]


@picker_mutant("epp-route-cache-kept", "the picker does not ask for a new choice of route")
class _RouteKept(Broken):
    def answered(self, message: Any) -> Sequence[Any]:
        if message.WhichOneof("response") == "request_headers":
            message.request_headers.response.clear_route_cache = False
        return [message]


@picker_mutant("epp-hint-lost", "the picker chooses among all endpoints, whatever the gateway allows")
class _HintLost(Broken):
    def sent(self, message: Any) -> Any:
        message.metadata_context.Clear()
        return message


@picker_mutant("epp-refusals-are-500", "the picker refuses with 500, whatever the reason")
class _Refusals(Broken):
    def answered(self, message: Any) -> Sequence[Any]:
        return [_refusal(message, 500)] if message.WhichOneof("response") == "immediate_response" else [message]


@picker_mutant("epp-errors-forgiven", "the picker takes requests that make no sense for others that do")
class _Forgiven(Broken):
    def sent(self, message: Any) -> Any:
        if message.WhichOneof("request") == "request_body" and message.request_body.end_of_stream:
            body = bytes(message.request_body.body)
            if not (body.startswith(b"{") and b'"model": "' in body and body.endswith(b"}")):
                message.request_body.body = b'{"model": "forgiven", "prompt": "forgiven"}'
        return message


@picker_mutant("epp-body-truncated", "the picker hands request bodies on without their last byte")
class _Truncated(Broken):
    def answered(self, message: Any) -> Sequence[Any]:
        if message.WhichOneof("response") == "request_body":
            part = message.request_body.response.body_mutation.streamed_response
            part.body = bytes(part.body)[: -1 if part.end_of_stream else None]
        return [message]


@picker_mutant("epp-chunks-enlarged", "the picker hands a body on in one piece, however large")
class _Enlarged(Broken):
    def __init__(self) -> None:
        self._held = b""

    def answered(self, message: Any) -> Sequence[Any]:
        if message.WhichOneof("response") != "request_body":
            return [message]
        part = message.request_body.response.body_mutation.streamed_response
        self._held += bytes(part.body)
        if not part.end_of_stream:
            return []
        part.body = self._held
        return [message]


@picker_mutant("epp-bodyless-refused", "the picker refuses requests without a body")
class _BodylessRefused(Broken):
    def __init__(self) -> None:
        self._bodyless = False

    def sent(self, message: Any) -> Any:
        if message.WhichOneof("request") == "request_headers":
            self._bodyless = bool(message.request_headers.end_of_stream)
        return message

    def answered(self, message: Any) -> Sequence[Any]:
        return [_refusal(message, 400)] if self._bodyless else [message]


@picker_mutant("epp-trusts-clients", "the picker obeys a client that names an endpoint itself")
class _Trusting(Broken):
    def __init__(self) -> None:
        self._wanted = ""

    def sent(self, message: Any) -> Any:
        if message.WhichOneof("request") == "request_headers":
            for header in message.request_headers.headers.headers:
                if header.key.lower() == DESTINATION:
                    self._wanted = bytes(header.raw_value).decode()
        return message

    def answered(self, message: Any) -> Sequence[Any]:
        if self._wanted and message.WhichOneof("response") == "request_headers":
            _set_destination(message, self._wanted)
        return [message]


@picker_mutant("epp-streams-mixed", "the picker hands the body of one request on with another")
class _Mixed(Broken):
    _last: ClassVar[list[bytes]] = [b"{}"]

    def answered(self, message: Any) -> Sequence[Any]:
        if message.WhichOneof("response") == "request_body":
            part = message.request_body.response.body_mutation.streamed_response
            self._last.append(bytes(part.body))
            part.body = self._last[-2]
        return [message]


# --- responses -------------------------------------------------------------------------------------------------------


@picker_mutant("epp-response-rewritten", "the picker changes responses on their way to the client")
class _Rewritten(Broken):
    def answered(self, message: Any) -> Sequence[Any]:
        if message.WhichOneof("response") == "response_body":
            part = message.response_body.response.body_mutation.streamed_response
            part.body = bytes(part.body) + b" "
        return [message]


@picker_mutant("epp-response-buffered", "the picker holds a streamed response back until its end")
class _Buffered(Broken):
    def __init__(self) -> None:
        self._held = b""

    def answered(self, message: Any) -> Sequence[Any]:
        if message.WhichOneof("response") != "response_body":
            return [message]
        part = message.response_body.response.body_mutation.streamed_response
        self._held += bytes(part.body)
        if not part.end_of_stream:
            return []
        part.body = self._held
        return [message]


@picker_mutant("epp-response-dropped", "the picker swallows responses")
class _Dropped(Broken):
    def answered(self, message: Any) -> Sequence[Any]:
        return [] if message.WhichOneof("response") == "response_body" else [message]


@picker_mutant("epp-usage-overlooked", "the picker does not find the usage in responses")
class _UsageOverlooked(Broken):
    def sent(self, message: Any) -> Any:
        if message.WhichOneof("request") == "response_body":
            part = message.response_body
            part.body = bytes(part.body).replace(b'"usage"', b'"usagX"')
        return message

    def answered(self, message: Any) -> Sequence[Any]:
        if message.WhichOneof("response") == "response_body":
            part = message.response_body.response.body_mutation.streamed_response
            part.body = bytes(part.body).replace(b'"usagX"', b'"usage"')
        return [message]


# --- who is in the pool ----------------------------------------------------------------------------------------------


class _Remembering(Broken):
    """Knows of each endpoint that was the only one allowed whether it was picked, or refused."""

    picked: ClassVar[dict[str, Any]] = {}
    refused: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        self.only = ""

    def sent(self, message: Any) -> Any:
        hint = message.metadata_context.filter_metadata.get("envoy.lb.subset_hint")
        if hint is not None:
            allowed = [value.string_value for value in hint.fields[f"{DESTINATION}-subset"].list_value.values]
            self.only = allowed[0] if len(allowed) == 1 else ""
        return message


@picker_mutant("epp-forgets-nothing", "the picker goes on picking endpoints that have left the pool")
class _ForgetsNothing(_Remembering):
    def __init__(self) -> None:
        super().__init__()
        self._stale = False

    def answered(self, message: Any) -> Sequence[Any]:
        kind = message.WhichOneof("response")
        if kind == "request_headers" and self.only in self.picked:
            _set_destination(message, self.only)
        elif kind == "request_headers" and self.only:
            copied = type(message)()
            copied.CopyFrom(message)
            _set_destination(copied, self.only)
            self.picked[self.only] = copied
        if kind == "immediate_response" and self.only in self.picked:
            stale = type(message)()
            stale.CopyFrom(self.picked[self.only])
            body = type(message)()
            body.request_body.response.body_mutation.streamed_response.end_of_stream = True
            return [stale, body]
        return [message]


@picker_mutant("epp-learns-nothing", "the picker never picks an endpoint that comes, or comes back, later")
class _LearnsNothing(_Remembering):
    def answered(self, message: Any) -> Sequence[Any]:
        if message.WhichOneof("response") == "immediate_response":
            self.refused.add(self.only)
        elif self.only in self.refused:
            return [_refusal(message, 503)]
        return [message]


# --- health, metrics, life -------------------------------------------------------------------------------------------


@picker_mutant("epp-always-healthy", "the picker says SERVING whatever happens")
class _AlwaysHealthy(Broken):
    @classmethod
    def health(cls, said: str) -> str:
        return "SERVING"


@picker_mutant("epp-never-healthy", "the picker never says SERVING")
class _NeverHealthy(Broken):
    @classmethod
    def health(cls, said: str) -> str:
        return "NOT_SERVING"


@picker_mutant("epp-counters-stuck", "the picker's metrics never change")
class _Stuck(Broken):
    _first: ClassVar[dict[str, list[Manifest]]] = {}

    @classmethod
    def samples(cls, rows: list[Manifest]) -> list[Manifest]:
        pools = [row["labels"]["name"] for row in rows if row["name"] == "inference_pool_ready_pods"]
        first = cls._first.setdefault(str(pools), rows)
        return [{**row, "label": rows[0]["label"]} for row in first]


@picker_mutant("epp-streams-held", "the picker goes on with requests whose client has left")
class _Held(Broken):
    holds_streams = True


def _freeze(routing: Routing) -> None:
    if routing.picker is not None and routing.picker.child.alive:
        routing.picker.suspend()


@arm_mutant("picker-frozen", "the picker hangs: it neither answers nor ends", disturb=_freeze)
def _frozen(arm: Arm) -> Arm:
    return arm


@arm_mutant("leader-election-off", "every picker takes itself for the leader")
def _no_election(arm: Arm) -> Arm:
    kept = tuple(flag for flag in arm.picker_flags if "leader-election" not in flag)
    return replace(arm, picker_flags=kept)
