"""What the API server's refusals of a build pod are."""

import pytest
from binderhub_service.kubernetes_api import ApiError
from binderhub_service.pod_creator import failure_of

ACCOUNT = (
    'User "system:serviceaccount:ns:binderhub" cannot create resource "pods" in API group "" in the namespace "ns"'
)


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (403, f"pods is forbidden: {ACCOUNT}", "BHS801"),
        (403, f'secrets "build-x" is forbidden: {ACCOUNT}', "BHS801"),
        (401, "Unauthorized", "BHS801"),
        (403, 'pods "build-x" is forbidden: violates PodSecurity "restricted:latest": hostPath volumes', "BHS304"),
        (403, 'admission webhook "a" denied the request: this namespace cannot have hostPath', "BHS304"),
        (403, f'admission webhook "a" denied the request: {ACCOUNT}', "BHS304"),
        (422, 'Pod "build-x" is invalid: spec.containers[0].image: Required value', "BHS304"),
    ],
)
def test_a_policy_is_told_from_a_missing_permission(status: int, message: str, code: str) -> None:
    assert failure_of(ApiError(status, "Forbidden", message)).code == code
