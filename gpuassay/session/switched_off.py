"""Plugins of pytest that somebody has switched off (`-p no:NAME`, PYTEST_DISABLE_PLUGIN_AUTOLOAD).

Without most of them a run is judged as ever: their reports are missing, and the marks and settings that suites have
for them mean nothing. Without some nothing can be judged.
"""

from __future__ import annotations

import pytest

NEEDED = {"skipping": "marks of skips and known defects", "python": "test functions"}
"""Plugins that judge, with what they know."""

_MARKS = {
    "allure_pytest": ("allure_label", "allure_link", "allure_display_name", "allure_description"),
    "timeout": ("timeout",),
    "benchmark": ("benchmark",),
}
"""Plugin to the marks that it declares and suites bear."""

_SETTINGS = {"timeout": ("timeout", "timeout_method", "timeout_func_only", "session_timeout")}
"""Plugin to the ini names that it declares and projects set."""

_OTHER_NAMES = {
    "timeout": "pytest_timeout",
    "benchmark": "pytest_benchmark.plugin",
    "allure_pytest": "allure_pytest.plugin",
}
"""Under which `-p` loads a plugin."""


def _off(manager: pytest.PytestPluginManager, name: str) -> bool:
    return not (manager.hasplugin(name) or manager.hasplugin(_OTHER_NAMES[name]))


def declare_settings(parser: pytest.Parser, manager: pytest.PytestPluginManager) -> None:
    """Let ini names of plugins that are off be known; a plugin that comes later declares its own over them."""
    for plugin, names in _SETTINGS.items():
        if _off(manager, plugin):
            for name in names:
                parser.addini(name, f"of the plugin {plugin}, which is not there")


def declare_marks(config: pytest.Config) -> None:
    """Let marks of plugins that are off be known."""
    for plugin, names in _MARKS.items():
        if _off(config.pluginmanager, plugin):
            for name in names:
                config.addinivalue_line("markers", f"{name}: of the plugin {plugin}, which is not there")


def refuse_blind(config: pytest.Config) -> None:
    """Nothing is judged without the plugins that judge.

    Raises:
        pytest.UsageError: one of them is switched off.
    """
    for name, knows in NEEDED.items():
        if config.pluginmanager.is_blocked(name):
            raise pytest.UsageError(f"gpuassay: -p no:{name}: suites cannot be judged without it: it knows {knows}")
