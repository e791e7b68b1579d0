"""Command lines of the control plane's programs: pure functions of paths, ports and options.

Why a flag is there is said beside it; flags that only repeat a default are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gpuassay.cluster.certificates import Pki


@dataclass(frozen=True)
class Options:
    """What a cluster may be asked for.

    Attributes:
        audit: whether writes are kept in an audit log.
        performance: no request limits in the API server (a measurement of a component, not of priority and fairness).
        emulated_version: Kubernetes minor version whose API the programs imitate, such as "1.34".
        feature_gates: Kubernetes feature gates for all programs.
        node_lease_seconds: lease of fake nodes; long leases keep a thousand idle nodes cheap.
        services: whether Services have proxies: aggregated APIs and webhooks are then asked at the addresses of pods.
        served: API versions that the API server serves only when asked to, such as "scheduling.k8s.io/v1alpha2".
    """

    audit: bool = True
    performance: bool = False
    emulated_version: str | None = None
    feature_gates: tuple[tuple[str, bool], ...] = ()
    node_lease_seconds: int = 40
    services: bool = False
    served: tuple[str, ...] = ()

    def common(self) -> list[str]:
        """Flags that all three Kubernetes programs share."""
        gates = ",".join(f"{name}={str(on).lower()}" for name, on in self.feature_gates)
        return [
            *([f"--emulated-version=kube={self.emulated_version}"] if self.emulated_version else []),
            *([f"--feature-gates={gates}"] if gates else []),
        ]


def etcd(program: Path, data: Path, client_port: int, peer_port: int) -> list[str | Path]:
    """The etcd server: loopback, plain HTTP, no fsync, since its data never outlives the run."""
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    return [
        program, f"--data-dir={data}", "--name=etcd", "--unsafe-no-fsync", "--log-level=warn",
        f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=etcd={peer}",
        "--quota-backend-bytes=8589934592", "--auto-compaction-retention=0", "--snapshot-count=100000",
    ]  # fmt: skip


def apiserver(
    program: Path,
    pki: Pki,
    port: int,
    etcd_port: int,
    work: Path,
    options: Options,
    audit_policy: Path,
    audit_log: Path,
) -> list[str | Path]:
    """The API server on loopback."""
    return [
        program, "--bind-address=127.0.0.1", f"--secure-port={port}", f"--cert-dir={work}",
        "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",  # else it wants a non-loopback interface
        f"--etcd-servers=http://127.0.0.1:{etcd_port}", "--etcd-compaction-interval=0",  # watches resume at any version
        f"--tls-cert-file={pki.server.certificate}", f"--tls-private-key-file={pki.server.key}",
        f"--client-ca-file={pki.ca.certificate}",
        f"--requestheader-client-ca-file={pki.front_proxy_ca.certificate}",
        "--requestheader-allowed-names=front-proxy-client", "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--kubelet-client-certificate={pki.clients['admin'].certificate}",  # for logs and exec on real nodes
        f"--kubelet-client-key={pki.clients['admin'].key}", "--kubelet-preferred-address-types=InternalIP",
        f"--proxy-client-cert-file={pki.front_proxy.certificate}", f"--proxy-client-key-file={pki.front_proxy.key}",
        f"--service-account-issuer=https://127.0.0.1:{port}",
        f"--service-account-key-file={pki.service_accounts.certificate}",
        f"--service-account-signing-key-file={pki.service_accounts.key}",
        "--service-cluster-ip-range=10.0.0.0/16", "--authorization-mode=Node,RBAC", "--allow-privileged",
        "--enable-admission-plugins=NodeRestriction", "--event-ttl=3h", "--shutdown-delay-duration=0s",
        *(["--enable-aggregator-routing=true"] if options.services else []),
        *([f"--runtime-config={','.join(f'{one}=true' for one in options.served)}"] if options.served else []),
        *([f"--audit-policy-file={audit_policy}", f"--audit-log-path={audit_log}"] if options.audit else []),
        *(["--max-requests-inflight=0", "--max-mutating-requests-inflight=0", "--enable-priority-and-fairness=false"]
          if options.performance else []),
        *options.common(),
    ]  # fmt: skip


def controller_manager(program: Path, pki: Pki, kubeconfig: Path, options: Options) -> list[str | Path]:
    """The controller manager; it serves nothing (its own port would be one more to lose)."""
    return [
        program, f"--kubeconfig={kubeconfig}", "--secure-port=0", "--leader-elect=false",
        "--use-service-account-credentials", "--kube-api-qps=1000", "--kube-api-burst=2000",
        f"--cluster-signing-cert-file={pki.ca.certificate}", f"--cluster-signing-key-file={pki.ca.key}",
        f"--root-ca-file={pki.ca.certificate}", f"--service-account-private-key-file={pki.service_accounts.key}",
        "--concurrent-job-syncs=20", "--concurrent-gc-syncs=20",
        f"--node-monitor-grace-period={max(50, options.node_lease_seconds + 10)}s",
        # a node that was seen while it started keeps its taint until it is looked at again
        f"--node-monitor-period={max(1, options.node_lease_seconds // 40)}s",
        "--controllers=*,-node-ipam-controller,-persistentvolume-attach-detach-controller",
        *options.common(),
    ]  # fmt: skip


def scheduler(program: Path, kubeconfig: Path, options: Options) -> list[str | Path]:
    """The scheduler."""
    return [
        program, f"--kubeconfig={kubeconfig}", "--secure-port=0", "--leader-elect=false",
        "--kube-api-qps=1000", "--kube-api-burst=2000", *options.common(),
    ]  # fmt: skip


def kwok(program: Path, kubeconfig: Path, stages: Path, options: Options) -> list[str | Path]:
    """KWOK: plays the kubelet of every node labelled `type=kwok`."""
    return [
        program, f"--kubeconfig={kubeconfig}", f"--config={stages}", "--manage-all-nodes=false",
        "--manage-nodes-with-label-selector=type=kwok", f"--node-lease-duration-seconds={options.node_lease_seconds}",
    ]  # fmt: skip
