"""What routing should do: prefix caches, policies, saturation; pure."""
