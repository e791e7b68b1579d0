"""What Kueue should do: queue order, quota trees, preemption, the twin; pure."""
