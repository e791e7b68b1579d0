"""Programs of our own that an arm needs beside the upstream ones; each runs as a process."""
