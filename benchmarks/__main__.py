"""`python -m benchmarks`: ourselves beside other tools, from a checkout."""

import sys

from gpuassay.cli import main

sys.exit(main(commands=("compare-runner", "compare-generators"), package="benchmarks"))
