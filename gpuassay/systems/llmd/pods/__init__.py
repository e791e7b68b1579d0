"""Arms whose parts are objects of a cluster: pods, Deployments and Services in the scenario's own namespace."""
