"""One run: its directory, its ledger of verdicts, its engine."""
