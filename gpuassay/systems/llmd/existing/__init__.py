"""Somebody's inference gateway, judged by requests alone."""
