"""What is installed on a cluster: install, configure, ready, diagnose, remove."""
