"""Build pods that push with a Secret of the type kubernetes.io/dockerconfigjson."""

from typing import Any

from bhs_registry_login import DOCKERCONFIGJSON
from binderhub.build import KubernetesBuildExecutor
from kubernetes import client


class DockerConfigJsonExecutor(KubernetesBuildExecutor):
    """BinderHub's own, which mounts the file config.json of the Secret; here it is made of the key of that type."""

    def get_builder_volumes(self) -> Any:  # noqa: ANN401 - BinderHub's
        """BinderHub's volumes and mounts, with the Secret's key under the name of the file that is mounted."""
        volumes, mounts = super().get_builder_volumes()
        for volume in volumes:
            if volume.secret and volume.secret.secret_name == self.push_secret:
                volume.secret.items = [client.V1KeyToPath(key=DOCKERCONFIGJSON, path="config.json")]
        return volumes, mounts
