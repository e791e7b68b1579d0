"""Other projects' own suites, run and read."""
