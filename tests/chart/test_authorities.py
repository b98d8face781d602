"""The value `certificateAuthorities`: whom BinderHub trusts beside the authorities of its image."""

import base64

from values.rendering import Chart, Object, Objects


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
