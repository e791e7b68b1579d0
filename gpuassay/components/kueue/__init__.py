"""Kueue: installed on a cluster of ours, its unmodified manager running as a child process."""

from gpuassay.components.kueue.deploy import deployed
from gpuassay.components.kueue.installation import install
from gpuassay.components.kueue.manager import Kueue
from gpuassay.components.kueue.metrics import Sample
from gpuassay.components.kueue.profiles import PROFILES, Profile, profile

__all__ = ["PROFILES", "Kueue", "Profile", "Sample", "deployed", "install", "profile"]
