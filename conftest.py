"""Loads the plugin. Fixtures live in `fixtures/` and in the library; there is no logic here."""

pytest_plugins = ("gpuassay.plugin",)
