"""Slices of somebody's cluster: scenarios are acted out there by nothing but a kubeconfig."""
