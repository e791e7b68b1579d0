"""Kueue: installed on a cluster of ours, its unmodified manager running as a child process."""

from gpuassay.systems.kueue.component.installation import install
from gpuassay.systems.kueue.component.manager import Kueue
from gpuassay.systems.kueue.component.metrics import Sample
from gpuassay.systems.kueue.component.profiles import PROFILES, Profile, profile

__all__ = ["PROFILES", "Kueue", "Profile", "Sample", "install", "profile"]
