"""The rights that a run takes, as a ClusterRole: all of them, and nothing else."""

from __future__ import annotations

import pytest
import yaml

from gpuassay.cli import main
from gpuassay.discovery.role import cluster_role
from gpuassay.engine.discovered import RULES, every_rule
from gpuassay.system import Rule, systems


def test_a_role_has_every_verb_of_every_resource_once() -> None:
    """Red when a right is lost as another rule names the resource too, or a condition in brackets becomes a verb."""
    role = cluster_role(
        "r",
        [
            Rule("", "pods", "get list"),
            Rule("", "pods nodes", "patch (only with --allow-cluster-mutation)"),
            Rule("batch", "jobs", "get"),
            Rule("", "/metrics", "get (for its metrics)"),
        ],
    )
    assert role["rules"] == [
        {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "patch"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get"]},
    ]


@pytest.mark.parametrize("name", ["kueue", "slices", "routing", "platform"])
def test_what_every_scenario_does_is_among_the_rights(name: str) -> None:
    """Red when a right is left out without which no scenario begins, or none is cleared away."""
    system = systems()[name]
    swept = [("batch", "jobs"), ("", "pods"), *((where.split("/")[1], plural) for where, plural in system.swept)]
    needed = {("", "serviceaccounts", "get"), *((*one, "deletecollection") for one in swept)}
    rules = cluster_role("r", (*RULES, *system.rules))["rules"]
    held = {
        (group, resource, verb)
        for one in rules
        for group in one.get("apiGroups", [])
        for resource in one.get("resources", [])
        for verb in one["verbs"]
    }
    assert needed <= held


def test_no_rule_of_a_system_is_a_wildcard() -> None:
    """Red when a run asks an administrator for everything."""
    words = {word for one in cluster_role("r", every_rule())["rules"] for words in one.values() for word in words}
    assert "*" not in words and all(word == word.strip("(),") for word in words), words


def test_the_command_prints_objects_to_apply(capsys: pytest.CaptureFixture[str]) -> None:
    """Red when what it prints is no YAML of a role, an account and a binding of the two."""
    assert main(["role", "kueue", "platform", "--name", "mine", "--account", "team/judge"]) == 0
    role, account, binding = yaml.safe_load_all(capsys.readouterr().out)
    assert (role["kind"], role["metadata"]["name"]) == ("ClusterRole", "mine")
    resources = {name for one in role["rules"] for name in one.get("resources", [])}
    assert {"clusterqueues", "resourceslices", "serviceaccounts"} <= resources
    assert account["metadata"] == {"name": "judge", "namespace": "team"}
    assert binding["roleRef"]["name"] == "mine" and binding["subjects"][0]["namespace"] == "team"


@pytest.mark.parametrize("words", [["nobody"], ["kueue", "--account", "judge"], ["--account", "a/b/c"]])
def test_what_is_no_system_and_no_account_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Red when a misspelt system makes a role of something else."""
    try:
        code = main(["role", *words])
    except SystemExit as left:
        code = int(left.code or 0)
    assert code == 2
    assert words[-1] in capsys.readouterr().err
