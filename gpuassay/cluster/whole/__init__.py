"""A whole cluster on this machine: what users' clusters have besides a control plane, as upstream publishes it.

    with whole_cluster(directory=folder, nodes=2) as cluster:
        cluster.kubeconfig  # works from any process, like that of any cluster

Nodes run pods in containers (`gpuassay.cluster.node`), Services have addresses (kube-proxy) and names (CoreDNS), images
are pulled by name. Fake GPUs are the only thing that is not there in every cluster.
"""
