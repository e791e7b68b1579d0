"""Gets the toy component in a process of its own: `python -m tests.toolchain.driver MODULE_DIRECTORY`."""

import sys
from pathlib import Path

from gpuassay.toolchain import programs
from tests.toolchain import fake

if __name__ == "__main__":
    fake.register(Path(sys.argv[1]))
    print(programs("toy").source)
