"""What if: a user's queues and a list of jobs, played on real Kueue faster than they would run, beside the twin."""
