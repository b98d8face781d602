"""The value `certificateAuthorities`: whom BinderHub and build pods trust beside the authorities of their images."""

import base64

import pytest
from chart_values.rendering import Chart, Object, Objects


def container(objects: Objects) -> Object:
    (found,) = objects.one("Deployment", "binderhub")["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def spec(objects: Objects) -> Object:
    found: Object = objects.one("Deployment", "binderhub")["spec"]["template"]["spec"]
    return found


def test_binderhub_trusts_the_authorities_of_all_values(chart: Chart) -> None:
    values = {
        "registry": {"server": "quay.io", "certificateAuthority": "of the registry\n"},
        "certificateAuthorities": {"git": "of the Git host\n", "none": None, "hub": "of the hub"},
    }
    objects = chart.render(values)
    bundle = objects.one("Secret", "binderhub")["stringData"]["authorities.crt"]
    assert bundle.split("\n") == ["of the registry", "of the Git host", "of the hub", ""]
    (files,) = [found for found in objects if found["metadata"]["name"] == "docker-api" and found["kind"] == "Secret"]
    assert [base64.b64decode(data).decode() for data in files["data"].values()] == ["of the registry\n"]


def of_build_pods(objects: Objects) -> str | None:
    """The name of the ConfigMap that BinderHub has build pods mount."""
    return next(
        (entry["value"] for entry in container(objects)["env"] if entry["name"] == "BUILD_PODS_AUTHORITIES"), None
    )


def test_build_pods_trust_what_is_given_for_git(chart: Chart) -> None:
    values = {
        "registry": {"server": "quay.io", "certificateAuthority": "of the registry\n"},
        "certificateAuthorities": {"git": "of the Git host\n"},
        "buildPods": {"namespace": "builds"},
    }
    objects = chart.render(values)
    made = objects.one("ConfigMap", "build-pods-authorities")
    assert made["metadata"]["namespace"] == "builds"
    assert made["data"] == {"authorities.crt": "of the Git host\n"}
    assert of_build_pods(objects) == "build-pods-authorities"


@pytest.mark.parametrize(
    "values",
    [
        {"registry": {"server": "quay.io", "certificateAuthority": "of the registry\n"}},
        {"certificateAuthorities": {"git": "of the Git host\n"}, "buildPods": {"executor": "upstream"}},
    ],
)
def test_without_authorities_build_pods_trust_what_their_image_trusts(chart: Chart, values: Object) -> None:
    objects = chart.render(values)
    assert of_build_pods(objects) is None
    ours = {"binderhub-python", "binderhub-python-packages"}
    assert {name for kind, name in objects.names() if kind == "ConfigMap"} == ours


def test_authorities_without_a_registrys_are_added_to_the_images_own(chart: Chart) -> None:
    objects = chart.render({"certificateAuthorities": {"git": "of the Git host"}})
    (first,) = spec(objects)["initContainers"]
    assert first["command"][-1] == (
        "cat /etc/ssl/certs/ca-certificates.crt /etc/binderhub/mounted-secret/authorities.crt"
        " > /authorities/ca-certificates.crt"
    )
    places = {mount["mountPath"]: mount["name"] for mount in container(objects)["volumeMounts"]}
    assert {"name": places["/etc/ssl/certs/ca-certificates.crt"], "emptyDir": {}} in spec(objects)["volumes"]
    assert ("Secret", "docker-api") not in objects.names()
