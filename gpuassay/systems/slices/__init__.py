"""GPU slices: MIG by the NVIDIA device plugin, DRA and DAS."""
