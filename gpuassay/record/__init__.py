"""What happened on a cluster: the recorder process, the live view, and recordings as files."""
