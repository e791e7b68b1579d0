"""Makes `python -m gpuassay` the `gpuassay` command."""

import sys

from gpuassay.cli import main

sys.exit(main())
