"""Other load generators, run as programs where they are installed; their answers become rows of ours."""
