"""A real node: containerd, runc, CNI plugins and a kubelet, in namespaces of their own (see `.real`)."""
