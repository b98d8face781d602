"""Printed output against output that came."""

import pytest
from documentation.expected_output import FORMS, mismatch

# For each form: what a page shows, what may come instead, what may not.
TOLERANT = {
    "age": ("web 23s", "web 4m10s", "web 23 s"),
    "address": ("at 10.96.0.12:80", "at 10.97.100.1:80", "at 10.96.0:80"),
    "suffix": ("binderhub-7d9c6b5f4-x2x8p", "binderhub-58cfd7d6c8-vk2lw", "docker-api-7d9c6b5f4-x2x8p"),
    "version": ("Server v1.37.2", "Server v1.28.11+k3s1", "Server 137"),
    "commit": ("at 1f89f00", "at 0eafda4", "at HEAD"),
    "digest": ("sha256:" + 64 * "a", "sha256:" + 32 * "0f", "sha512:" + 64 * "a"),
    "built": ("Done! Image built", "Done! Found built image", "Done! Image lost"),
    "time": ("at 2026-11-24T08:28:22Z", "at 2027-01-01T00:00:00Z", "at noon"),
}


def test_every_form_has_an_example() -> None:
    assert TOLERANT.keys() == FORMS.keys()


@pytest.mark.parametrize("form", TOLERANT)
def test_a_form_is_tolerant_of_its_shape_alone_and_only_when_named(form: str) -> None:
    shown, same_shape, other = TOLERANT[form]
    assert mismatch(f"{shown}\n", f"{shown}\n", []) is None
    assert mismatch(f"{shown}\n", f"{same_shape}\n", []) is not None
    assert mismatch(f"{shown}\n", f"{same_shape}\n", [form]) is None
    assert mismatch(f"{shown}\n", f"{other}\n", [form]) is not None


@pytest.mark.parametrize(
    ("shown", "came"),
    [
        ("fe80::1 up", "2001:db8::8:800:200c:417a up"),
        ("docker-api-x2x8p", "docker-api-zz99k"),
        ("LAST DEPLOYED: Tue Nov 24 08:28:22 2026", "LAST DEPLOYED: Fri Jan  1 00:00:01 2027"),
        ("a-7d9c6b5f4-x2x8p   1/1   Running   0   5s", "a-58cfd7d6c8-vk2lw   1/1     Running   0          2d3h"),
    ],
)
def test_forms_as_kubernetes_prints_them(shown: str, came: str) -> None:
    assert mismatch(shown, came, list(FORMS)) is None


def test_text_outside_of_forms_must_match_exactly() -> None:
    assert mismatch("web-x2x8p 1/1 5s", "web-vk2lw 0/1 5s", ["suffix", "age"]) is not None
    assert mismatch("short words stay", "other words stay", list(FORMS)) is not None
    assert mismatch("a.b", "axb", list(FORMS)) is not None


@pytest.mark.parametrize(
    ("shown", "came", "line"),
    [
        ("a\nb\n", "a\nb\n", None),
        ("a\nb\n", "a  \nb", None),
        ("a\nb\n", "a\nc\n", 1),
        ("a\nb\n", "a\n", 1),
        ("a\n", "a\nb\n", 0),
        ("a\n", "", 0),
        ("...\n", "", None),
        ("...\n", "a\nb\n", None),
        ("...\nb\n", "a\nb\n", None),
        ("...\nb\n", "b\n", None),
        ("...\nb\n", "a\nb\nc\n", 1),
        ("a\n...\n", "a\n", None),
        ("a\n...\n", "b\na\n", 0),
        ("a\n...\nc\n", "a\nb\nb\nc\n", None),
        ("a\n...\nc\n...\ne\n", "a\nc\nd\ne\n", None),
        ("a\n...\nc\n...\ne\n", "a\ne\nc\n", 4),
        ("a\n...\na\n", "a\n", 2),
        ("...\nx\ny\n...\n", "x\nz\nx\ny\n", None),
    ],
)
def test_lines(shown: str, came: str, line: int | None) -> None:
    found = mismatch(shown, came, [])
    assert (None if found is None else found[0]) == line


def test_coloured_output_is_named_as_such() -> None:
    found = mismatch("red\n", "\x1b[31mred\x1b[0m\n", [])
    assert found is not None
    assert "coloured" in found[1]
