"""How a build differs from what upstream publishes, in the words that reports show."""

RAISED = "dependencies raised to Kueue's versions"
ONE_PROGRAM = "upstream's commands linked into one program"
