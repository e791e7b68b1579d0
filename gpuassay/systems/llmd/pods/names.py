"""Under which names a cluster's nodes pull the images of an arm: upstream's, and the one of gpuassay itself.

The user says by `--arm-image` where the latter is, and by `--mirror` what takes the place of all registries.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class _Chosen:
    own: str = ""
    mirror: str = ""


_chosen = _Chosen()


def give(own: str | None, mirror: str | None) -> None:
    """Take what the command line says; None takes an earlier word back."""
    _chosen.own, _chosen.mirror = own or "", mirror or ""


def pulled(image: str) -> str:
    """The name by which an image of upstream's is pulled."""
    if not _chosen.mirror:
        return image
    from gpuassay.provision.install import mirrored  # cluster clients: not for `--help`

    return mirrored(image, _chosen.mirror)


def own() -> str:
    """The name of gpuassay's own image: the user's word as it is, else the default through the mirror."""
    from gpuassay.cluster.own_image import NAME

    return _chosen.own or pulled(NAME)
