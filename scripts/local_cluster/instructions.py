"""Instructions for the cluster: text for people, and lines that a shell evaluates."""

from local_cluster import cgroups, cluster, git_repositories, go_tools, layout, registries


def exports() -> str:
    """Lines for a shell: the kubeconfig, and a PATH with kubectl and helm."""
    return f'export KUBECONFIG={layout.KUBECONFIG}\nexport PATH={go_tools.folder()}:"$PATH"'


def text() -> str:
    """What is there and under which names."""
    state = cluster.state()
    names = ", ".join(sorted(folder.name.removesuffix(".git") for folder in git_repositories.FOLDER.iterdir()))
    version = go_tools.module("kubernetes").version
    rows = {
        "Kubernetes": f"{version}, {len(layout.NODES)} nodes, context {layout.CONTEXT}",
        "BinderHub": f"{state['binderhub']}, under the name of the published image",
        "Registry": f"https://{layout.REGISTRY_NAME}, user {layout.REGISTRY_USER}, password in {registries.PASSWORD}",
        "Authority": f"{layout.AUTHORITY}, which signs the registry's certificate",
        "Git": f"http://{layout.GIT_NAME}/NAME.git with NAME one of: {names}",
        "Values": f"{layout.VALUES}, for every install of the chart here",
        "Memory": f"{cgroups.memory() >> 20} MiB",
        "Remove": "./scripts/down",
    }
    return "\nThe cluster is up.\n" + "\n".join(f"  {name:<12}{value}" for name, value in rows.items()) + "\n"
