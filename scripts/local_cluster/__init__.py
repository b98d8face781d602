"""The local cluster: a real Kubernetes with two nodes, two registries and a Git server, on this machine alone."""
