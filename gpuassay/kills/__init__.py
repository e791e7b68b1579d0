"""Kills: which behaviour turned red under which broken system, kept from run to run."""
