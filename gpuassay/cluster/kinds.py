"""Where the kinds that we use live in the API: a table instead of discovery.

Discovery costs requests on every new cluster and must be repeated after CRDs are installed; the kinds that a suite
uses are few and known. A kind that is not here is a programming error and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from gpuassay.cluster.errors import ClusterError

KUEUE = "kueue.x-k8s.io/v1beta2"


@dataclass(frozen=True)
class Kind:
    """One kind of object.

    Attributes:
        name: as in the `kind` field.
        version: as in the `apiVersion` field.
        plural: as in URLs.
        namespaced: whether its objects live in namespaces.
    """

    name: str
    version: str
    plural: str
    namespaced: bool

    def path(self, name: str | None = None, namespace: str | None = None, subresource: str | None = None) -> str:
        """URL path of an object, or of a collection when `name` is None (of all namespaces without `namespace`)."""
        root = f"/apis/{self.version}" if "/" in self.version else f"/api/{self.version}"
        middle = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        end = "" if name is None else f"/{quote(name, safe='')}"
        return f"{root}{middle}/{self.plural}{end}" + (f"/{subresource}" if subresource else "")


_TABLE = """
v1                              Namespace Node PersistentVolume                                       -
v1                              Pod Service ConfigMap Secret ServiceAccount Event LimitRange ResourceQuota
v1                              PersistentVolumeClaim PodTemplate ReplicationController
batch/v1                        Job CronJob
apps/v1                         Deployment StatefulSet ReplicaSet DaemonSet ControllerRevision
events.k8s.io/v1                Event
rbac.authorization.k8s.io/v1    ClusterRole ClusterRoleBinding                                        -
rbac.authorization.k8s.io/v1    Role RoleBinding
scheduling.k8s.io/v1            PriorityClass                                                         -
scheduling.k8s.io/v1alpha2      PodGroup
coordination.k8s.io/v1          Lease
storage.k8s.io/v1               StorageClass                                                          -
node.k8s.io/v1                  RuntimeClass                                                          -
resource.k8s.io/v1              DeviceClass ResourceSlice                                             -
resource.k8s.io/v1              ResourceClaim ResourceClaimTemplate
apiextensions.k8s.io/v1         CustomResourceDefinition                                              -
apiregistration.k8s.io/v1       APIService                                                            -
admissionregistration.k8s.io/v1 MutatingWebhookConfiguration ValidatingWebhookConfiguration           -
admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding            -
flowcontrol.apiserver.k8s.io/v1 FlowSchema PriorityLevelConfiguration                                 -
kueue.x-k8s.io/v1beta2          ClusterQueue Cohort ResourceFlavor AdmissionCheck Topology            -
kueue.x-k8s.io/v1beta2          WorkloadPriorityClass ProvisioningRequestConfig                       -
kueue.x-k8s.io/v1beta2          MultiKueueCluster MultiKueueConfig                                    -
kueue.x-k8s.io/v1beta2          LocalQueue Workload
jobset.x-k8s.io/v1alpha2        JobSet
leaderworkerset.x-k8s.io/v1     LeaderWorkerSet
discovery.k8s.io/v1             EndpointSlice
gateway.networking.k8s.io/v1    GatewayClass                                                          -
gateway.networking.k8s.io/v1    Gateway HTTPRoute
gateway.networking.k8s.io/v1beta1 ReferenceGrant
networking.istio.io/v1          DestinationRule
networking.istio.io/v1alpha3    EnvoyFilter
inference.networking.k8s.io/v1  InferencePool
inference.networking.x-k8s.io/v1alpha2 InferenceObjective InferenceModelRewrite
inference.redhat.com/v1alpha1   AllocationClaim NodeAccelerator DASOperator
nvidia.com/v1                   ClusterPolicy                                                         -
kwok.x-k8s.io/v1alpha1          Stage                                                                 -
"""


def _plural(name: str) -> str:
    lower = name.lower()
    if lower.endswith("y") and lower[-2] not in "aeiou":
        return lower[:-1] + "ies"
    return lower + ("es" if lower.endswith(("s", "ch")) else "s")


def _read(table: str) -> dict[tuple[str, str], Kind]:
    kinds: dict[tuple[str, str], Kind] = {}
    for line in table.strip().splitlines():
        version, *names = line.split()
        namespaced = names[-1] != "-"
        for name in names if namespaced else names[:-1]:
            kinds[version, name] = Kind(name, version, _plural(name), namespaced)
    return kinds


_BY_VERSION = _read(_TABLE)
_BY_NAME = {kind.name: kind for kind in reversed(_BY_VERSION.values())}


def kind_of(name: str, version: str | None = None) -> Kind:
    """The kind called `name`; with `version` (as in `apiVersion`) exactly that one.

    A version that the table lacks (`kueue.x-k8s.io/v1beta1`) is taken from the same group's entry.

    Raises:
        ClusterError: the table lacks the kind.
    """
    known = _BY_NAME.get(name) if version is None else _BY_VERSION.get((version, name))
    if known is None and version is not None:
        group = version.rpartition("/")[0]
        for kind in _BY_VERSION.values():
            if kind.name == name and kind.version.rpartition("/")[0] == group:
                return Kind(name, version, kind.plural, kind.namespaced)
    if known is None:
        of = f" of {version}" if version else ""
        raise ClusterError(f"kind {name!r}{of} is not in the table of gpuassay.cluster.kinds")
    return known
