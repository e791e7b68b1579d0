"""EPP core: the external processor behind TLS, as pickers serve it unless they are told otherwise."""

from __future__ import annotations

import hashlib
import socket
import ssl
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import trustme

from gpuassay import MUST, SHOULD, Measure, Note, behaviour
from gpuassay.systems.llmd.acts.deployment import Deployment, opened
from gpuassay.systems.llmd.acts.epp import asking
from gpuassay.systems.llmd.acts.lab import RoutingLab
from gpuassay.systems.llmd.component.picker import Picker
from gpuassay.systems.llmd.gateway.configuration import PICKER
from gpuassay.systems.llmd.judge import epp as judge
from gpuassay.systems.llmd.judge import routing
from gpuassay.systems.llmd.objects.prompts import prompt_set
from gpuassay.systems.llmd.readings import RoutingRecording
from suites.llmd.epp_requests import small
from suites.llmd.epps import PROTOCOL, per_epp

SECURE = ("--secure-serving=true",)
ASKS = 8


LISTENS_AFTER = Note("listens_after_serving", float, "from the first SERVING until the picker listens, in s")
OWN = Note("own", dict[str, str], "the handshake with the picker that makes its own certificate")
GIVEN = Note("given", dict[str, str], "the handshake with the one that was given a certificate, and that certificate")


def _trust_anybody(bootstrap: dict[str, Any]) -> None:
    """The gateway speaks TLS to its picker and checks no name: a picker's own certificate carries none."""
    context = {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {"alpn_protocols": ["h2"]},
    }
    for cluster in bootstrap["static_resources"]["clusters"]:
        if cluster["name"] == PICKER:
            cluster["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _accepts(site: Deployment, port: int) -> bool:
    """Whether it listens; a way through an API server takes every connection, and ends those that lead nowhere."""
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", port)) != 0:
            return False
        if site.routing.at_hand:
            return True
        try:
            return bool(probe.recv(1))
        except TimeoutError:  # it waits for us to begin the handshake
            return True
        except OSError:
            return False


def _shaken(port: int) -> dict[str, Any]:
    """What a picker agrees to in a handshake, and its certificate's fingerprint; `error` where there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=2) as plain,
            context.wrap_socket(plain) as secure,
        ):
            shown = secure.getpeercert(binary_form=True) or b""
            return {
                "version": secure.version(), "protocol": secure.selected_alpn_protocol(),
                "certificate": hashlib.sha256(shown).hexdigest(),
            }  # fmt: skip
    except OSError as error:
        return {"error": f"{type(error).__name__}: {error}"}


def _certificate(folder: Path) -> str:
    """Write `tls.crt` and `tls.key` of a certificate for 127.0.0.1; returns its fingerprint."""
    folder.mkdir(parents=True)
    leaf = trustme.CA().issue_cert("127.0.0.1")
    leaf.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    leaf.private_key_pem.write_to_path(folder / "tls.key")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())).hexdigest()


@per_epp(timeout=20)
def secured(lab: RoutingLab, picker: str) -> None:
    """An EPP with a self-generated certificate behind Envoy, and an EPP with a certificate that it was given."""
    arm = small(picker, replicas=2, profile="random", flags=SECURE)
    behind = replace(arm, gateway="override-host", change_gateway=_trust_anybody)
    with opened(lab, behind) as site, ExitStack() as stack:
        first = site.routing.picker
        assert first is not None
        # it says SERVING before it listens: first it makes itself a key, which takes RSA with 4,096 bits some time
        began = time.monotonic()
        lab.observe(lambda: _accepts(site, first.port), "the picker listens", timeout=30)
        lab.note(LISTENS_AFTER, round(time.monotonic() - began, 3))
        folder = site.routing.folder / "certificate"
        given = _certificate(folder)
        asked = replace(arm, picker_flags=(*SECURE, "--cert-path", str(folder)))
        flags = (lab.mutant.change_arm(asked) if lab.mutant is not None else asked).picker_flags
        second: Picker = first.sibling("certified", extra=flags)
        stack.callback(second.kill)
        second.start()
        lab.observe(lambda: _accepts(site, second.port), "the other picker listens", timeout=30)
        lab.note(OWN, _shaken(first.port))
        lab.note(GIVEN, _shaken(second.port) | {"expected": given})
        with asking(site) as epp:
            epp.ask("in-the-clear", epp.body("hello"), timeout=2)
        site.ask("through-the-gateway", prompt_set([8] * ASKS))


@behaviour(
    "llmd.epp-tls.handshake", level=MUST, spec=PROTOCOL, mutant="picker-in-the-clear", timed=True,
    red_when="an EPP with TLS on does not serve TLS 1.3, or does not offer HTTP/2",
)  # fmt: skip
def test_a_picker_serves_behind_tls(secured: RoutingRecording, measure: Measure) -> None:
    """With TLS on and no certificate given, an EPP generates one and negotiates TLS 1.3 and HTTP/2."""
    measure.value(listens_after_serving_s=secured.note(LISTENS_AFTER))
    own = secured.note(OWN)
    assert "error" not in own, own
    assert (own["version"], own["protocol"]) == ("TLSv1.3", "h2")


@behaviour(
    "llmd.epp-tls.clear-refused", level=MUST, spec=PROTOCOL, mutant="picker-in-the-clear", timed=True,
    red_when="an EPP that serves TLS also answers plaintext clients",
)  # fmt: skip
def test_requests_in_the_clear_are_refused(secured: RoutingRecording) -> None:
    """A plaintext connection to an EPP that serves TLS fails."""
    rows = secured.calls("in-the-clear")
    assert [row.ended for row in rows] == ["UNAVAILABLE"], judge.shown(rows)


@behaviour(
    "llmd.epp-tls.gateway-asks", level=MUST, spec=PROTOCOL, mutant="picker-in-the-clear", timed=True,
    red_when="a gateway cannot consult an EPP that serves TLS",
)  # fmt: skip
def test_a_gateway_asks_behind_tls(secured: RoutingRecording) -> None:
    """With TLS between Envoy and the EPP, each of 8 requests is answered, and the EPP was consulted for each."""
    rows = secured.asks("through-the-gateway")
    assert not routing.failure_findings(rows) + routing.asked_findings(rows)


@behaviour(
    "llmd.epp-tls.given-certificate", level=SHOULD, spec=PROTOCOL, mutant="picker-certificate-ignored",
    red_when="an EPP does not present the certificate that it was given, so that gateways cannot verify it",
)  # fmt: skip
def test_a_given_certificate_is_shown(secured: RoutingRecording) -> None:
    """An EPP with `--cert-path` presents that certificate, and one without does not."""
    own, given = secured.note(OWN), secured.note(GIVEN)
    assert given.get("certificate") == given["expected"]
    assert own.get("certificate") != given["expected"]
