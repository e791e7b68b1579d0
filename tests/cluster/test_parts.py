"""What needs no cluster: ports, kinds, certificates, profiles, manifests, command lines, log lines."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from gpuassay.cluster import audit, flags, ports
from gpuassay.cluster.certificates import IDENTITIES, make_pki
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.kinds import kind_of
from gpuassay.systems.kueue.component import PROFILES, logs, manifests, profile
from gpuassay.systems.kueue.component.certificates import make_webhook_certificates
from gpuassay.systems.kueue.component.profiles import BASE, merged

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def test_ports_are_different_and_free() -> None:
    found = ports.free_ports(20)
    assert len(set(found)) == 20
    for port in found:
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_a_port_in_use_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "_range", lambda: (port, port + 1))
        with pytest.raises(ClusterError, match="no 1 free loopback ports"):
            ports.free_ports(1)


def test_a_lost_port_is_read_from_the_log() -> None:
    assert ports.taken(["listen tcp 127.0.0.1:1: bind: address already in use"])
    assert not ports.taken(["all is well"])


@pytest.mark.parametrize(
    ("kind", "name", "namespace", "path"),
    [
        ("Pod", "p", "n", "/api/v1/namespaces/n/pods/p"),
        ("Pod", None, None, "/api/v1/pods"),
        ("Job", "j", "n", "/apis/batch/v1/namespaces/n/jobs/j"),
        ("ClusterQueue", "q", None, "/apis/kueue.x-k8s.io/v1beta2/clusterqueues/q"),
        ("ClusterQueue", "q", "ignored", "/apis/kueue.x-k8s.io/v1beta2/clusterqueues/q"),
        ("Topology", None, None, "/apis/kueue.x-k8s.io/v1beta2/topologies"),
        ("WorkloadPriorityClass", "w", None, "/apis/kueue.x-k8s.io/v1beta2/workloadpriorityclasses/w"),
        ("DeviceClass", "d", None, "/apis/resource.k8s.io/v1/deviceclasses/d"),
        ("Namespace", "a/b", None, "/api/v1/namespaces/a%2Fb"),
    ],
)
def test_paths(kind: str, name: str | None, namespace: str | None, path: str) -> None:
    assert kind_of(kind).path(name, namespace) == path


def test_kinds_of_two_groups_and_of_other_versions() -> None:
    assert kind_of("Event").version == "v1"
    assert kind_of("Event", "events.k8s.io/v1").path(namespace="n") == "/apis/events.k8s.io/v1/namespaces/n/events"
    assert kind_of("ClusterQueue", "kueue.x-k8s.io/v1beta1").path("q") == "/apis/kueue.x-k8s.io/v1beta1/clusterqueues/q"
    with pytest.raises(ClusterError, match="kind 'Nonsense' is not in the table"):
        kind_of("Nonsense")
    with pytest.raises(ClusterError, match="kind 'Job' of apps/v1 is not in the table"):
        kind_of("Job", "apps/v1")


def test_every_component_has_an_identity_of_its_own(tmp_path: Path) -> None:
    pki = make_pki(tmp_path)
    subjects = {
        name: x509.load_pem_x509_certificate(pair.certificate.read_bytes()).subject.rfc4514_string()
        for name, pair in pki.clients.items()
    }
    assert set(subjects) == set(IDENTITIES)
    assert len(set(subjects.values())) == len(IDENTITIES)
    assert "CN=system:kube-scheduler" in subjects["kube-scheduler"]
    assert "O=system:masters" in subjects["admin"]
    for key in tmp_path.glob("*.key"):
        assert key.stat().st_mode & 0o077 == 0, f"{key.name} can be read by others"


def test_kueues_certificates_are_as_its_rotator_wants_them() -> None:
    files = make_webhook_certificates("svc", "ns").files
    assert files["ca.key"].startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    load_pem_private_key(files["tls.key"], None)
    names = {
        name: x509.load_pem_x509_certificate(files[name])
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value.get_values_for_type(x509.DNSName)
        for name in ("ca.crt", "tls.crt")
    }
    assert names == {"ca.crt": ["kueue-ca"], "tls.crt": ["svc.ns.svc"]}


@given(OBJECTS, OBJECTS)
def test_profiles_merge_as_rfc_7396(base: dict[str, Any], changes: dict[str, Any]) -> None:
    before = json.dumps(base)
    result = merged(base, changes)
    assert json.dumps(base) == before
    for key in base | changes:
        if key not in changes:
            assert result[key] == base[key]
        elif changes[key] is None:
            assert key not in result
        elif not isinstance(changes[key], dict):
            assert result[key] == changes[key]
    assert merged(result, {}) == result


def test_a_profile_keeps_what_it_does_not_change() -> None:
    assert PROFILES["default"].configuration() == BASE
    for each in PROFILES.values():
        assert each.configuration()["internalCertManagement"] == BASE["internalCertManagement"]
        assert each.what
    with pytest.raises(ClusterError, match="no Kueue profile is called 'nope'; there are default, "):
        profile("nope")


def test_schemas_lose_their_texts_and_nothing_else() -> None:
    crd: dict[str, Any] = {
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "x", "annotations": {"description": "kept"}},
        "spec": {
            "conversion": {"strategy": "Webhook", "webhook": {"clientConfig": {"service": {"name": "s"}}}},
            "versions": [
                {
                    "name": "v1",
                    "schema": {
                        "openAPIV3Schema": {
                            "description": "gone",
                            "properties": {
                                "description": {"description": "gone", "type": "string"},
                                "properties": {"properties": {"description": {"type": "integer"}}},
                            },
                        }
                    },
                }
            ],
        },
    }
    before = json.dumps(crd)
    slim = manifests.slim(crd)
    assert json.dumps(crd) == before
    assert slim["metadata"] == crd["metadata"]
    assert slim["spec"]["versions"][0]["schema"] == {
        "openAPIV3Schema": {
            "properties": {
                "description": {"type": "string"},
                "properties": {"properties": {"description": {"type": "integer"}}},
            }
        }
    }
    certificates = make_webhook_certificates(manifests.SERVICE, "ns")
    (localized, *extras) = manifests.localized([slim], 4711, certificates)
    client = localized["spec"]["conversion"]["webhook"]["clientConfig"]
    assert client == {"service": {"name": "s", "port": 4711}, "caBundle": certificates.bundle}
    service = next(o for o in extras if o["kind"] == "Service")
    assert service["spec"] == {"type": "ExternalName", "externalName": "localhost"}


def test_flags_follow_the_options(tmp_path: Path) -> None:
    pki = make_pki(tmp_path)
    given_options = flags.Options(
        audit=False, performance=True, emulated_version="1.34", feature_gates=(("A", True), ("B", False))
    )
    line = [str(x) for x in flags.apiserver(Path("x"), pki, 1, 2, tmp_path, given_options, tmp_path, tmp_path)]
    assert "--emulated-version=kube=1.34" in line
    assert "--feature-gates=A=true,B=false" in line
    assert "--enable-priority-and-fairness=false" in line
    assert not [word for word in line if "audit" in word]
    plain = [str(x) for x in flags.apiserver(Path("x"), pki, 1, 2, tmp_path, flags.Options(), tmp_path, tmp_path)]
    assert [word for word in plain if word.startswith("--audit-log-path=")]
    assert not [word for word in plain if "priority-and-fairness" in word or "feature-gates" in word]


def test_the_audit_policy_ends_with_silence(tmp_path: Path) -> None:
    rules = json.loads(audit.write_policy(tmp_path / "policy.json").read_text())["rules"]
    assert rules[0] == {"level": "None", "verbs": ["get", "list", "watch"]}
    assert rules[-1] == {"level": "None"}
    assert {"group": "kueue.x-k8s.io"} in rules[1]["resources"]


def test_log_lines_are_read_whole_or_not_at_all(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b'{"msg":"one"}\npanic: oh\n[1]\n{"msg":"tw')
    lines, offset = logs.read_lines(log)
    assert lines == [{"msg": "one"}, {"text": "panic: oh"}, {"text": "[1]"}]
    log.write_bytes(log.read_bytes() + b'o"}\n')
    assert logs.read_lines(log, offset)[0] == [{"msg": "two"}]


def test_the_complaint_is_the_last_error() -> None:
    assert logs.complaint([{"msg": "fine", "level": "info"}]) is None
    assert logs.complaint([{"msg": "cannot", "level": "error", "error": "x"}, {"msg": "bye"}]) == "cannot: x"
    assert logs.complaint([{"text": "panic: oh"}]) == "panic: oh"
