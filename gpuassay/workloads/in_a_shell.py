"""The steps of our workload program (modules/workload/main.go) as a shell script: somebody has no image of it.

Any image with a POSIX shell will do. What the program is asked by HTTP is asked here by an annotation of the pod, which
the kubelet shows in a file (downward API): `gpuassay.io/ask-<port>`, its value an exit code and a word that makes every
request another.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from gpuassay.manifest import Manifest

FOLDER = "/etc/gpuassay-ask"
VOLUME = "gpuassay-ask"
ASK = "gpuassay.io/ask-"
"""Beginning of the annotation's name; the port follows."""


def steps(arguments: Sequence[str]) -> list[list[str]]:
    """The arguments, cut at every `--`."""
    found: list[list[str]] = [[]]
    for one in arguments:
        if one == "--":
            found.append([])
        else:
            found[-1].append(one)
    return [one for one in found if one]


def ports(arguments: Sequence[str]) -> list[str]:
    """Ports at which the container can be asked."""
    return [step[1] for step in steps(arguments) if step[0] == "serve"]


def script(arguments: Sequence[str]) -> str:
    """The script that takes these steps.

    Raises:
        ValueError: a step that a shell cannot take.
    """
    asked = ports(arguments)
    lines = ["trap 'exit 143' TERM INT", *(f"was_{port}=$(cat {FOLDER}/{port} 2>/dev/null)" for port in asked)]
    for step in steps(arguments):
        lines += _lines(step[0], " ".join(step[1:]), asked)
    return "\n".join(lines)


def _lines(verb: str, argument: str, asked: Sequence[str]) -> Iterator[str]:
    word = shlex.quote(argument)
    if verb == "print":
        yield f"echo {word}"
    elif verb == "env":
        yield f'env | while read -r line; do case $line in {word}*) echo "$line";; esac; done'
    elif verb == "list":
        yield f"ls {word} 2>/dev/null || true"
    elif verb == "add":
        yield f"echo sum=$(({argument}))"
    elif verb == "gpus":
        yield "nvidia-smi -L 2>/dev/null || true"
    elif verb == "serve":
        pass
    elif verb == "sleep":
        yield f"sleep {word} & wait $!"
    elif verb == "deaf":
        yield "trap '' TERM INT"
    elif verb == "wait":
        yield "while :; do"
        for port in asked:
            yield f"  now=$(cat {FOLDER}/{port} 2>/dev/null)"
            yield f'  [ "$now" = "$was_{port}" ] || exit ${{now%% *}}'
        yield "  sleep 1 & wait $!"
        yield "done"
    elif verb == "exit":
        yield f"exit {word}"
    else:
        raise ValueError(f"a shell cannot take the step {verb!r} of the workload program")


def with_shell(spec: Manifest, image: str, program: str) -> None:
    """Put `image` and a script into every container of a pod's spec that would run `program` (edited in place)."""
    asked: list[str] = []
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        if container["image"] != program:
            continue
        arguments: list[str] = container.pop("args", [])
        container.pop("imagePullPolicy", None)
        container |= {"image": image, "command": ["/bin/sh", "-c", script(arguments)]}
        if found := ports(arguments):
            asked += found
            mount = {"name": VOLUME, "mountPath": FOLDER}
            container["volumeMounts"] = [*container.get("volumeMounts", []), mount]
    if asked:
        items = [
            {"path": port, "fieldRef": {"fieldPath": f"metadata.annotations['{ASK}{port}']"}}
            for port in dict.fromkeys(asked)
        ]
        spec["volumes"] = [*spec.get("volumes", []), {"name": VOLUME, "downwardAPI": {"items": items}}]
