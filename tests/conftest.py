"""Settings for all tests of the suite itself."""

from hypothesis import HealthCheck, settings

# the same examples everywhere, and no verdict that depends on how busy the machine is
settings.register_profile("gpuassay", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gpuassay")
