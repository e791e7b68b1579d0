"""How an API server is reached: a kubeconfig in, one connection out, which the API client and the recorder share."""
