"""What is wrong with a kubeconfig, its credentials or the way to the server."""


class AccessError(Exception):
    """The API server cannot be reached as the kubeconfig says; the message is one line and holds no secret."""

    exit_code = 2
    """Of the command line: the user's to mend."""
