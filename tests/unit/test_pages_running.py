"""Every kind of block, and every way for a page to fail, without a cluster."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from documentation.page_runner import BlockFailed

pytestmark = pytest.mark.together

RunPage = Callable[..., BlockFailed | None]


def test_blocks_share_one_shell_and_one_folder(run_page: RunPage) -> None:
    failure = run_page(
        """
        {.file path="deep/hello.txt"}
        ```text
        hello
        ```

        {.run}
        ```bash
        greeting=$(cat deep/hello.txt)
        greet() { echo "$greeting, $1"; }
        cd deep
        ```

        {.run}
        ```bash
        greet world
        echo "to stderr" >&2
        ls
        ```

        {.output}
        ```text
        hello, world
        to stderr
        hello.txt
        ```
        """
    )
    assert failure is None


def test_a_file_is_saved_where_the_shell_is_and_nowhere_else(run_page: RunPage) -> None:
    page = """
        {.run}
        ```bash
        mkdir inside && cd inside
        ```
        {.file path="a.txt"}
        ```text
        saved
        ```
        {.run}
        ```bash
        cat ../inside/a.txt
        cd /
        ```
        """
    assert run_page(page) is None
    again = (
        page.rstrip()
        + """
        {.file path="b.txt"}
        ```text
        never saved
        ```
        """
    )
    fails(run_page(again), 19, "outside of the page's own folder")
    assert not Path("/b.txt").exists()


def test_a_heredoc_with_a_fence_in_it_runs_as_printed(run_page: RunPage) -> None:
    failure = run_page(
        """
        {.run}
        ````bash
        cat <<'END'
        ```
        $not "changed" \\
        ```
        END
        ````

        {.output}
        ````text
        ```
        $not "changed" \\
        ```
        ````
        """
    )
    assert failure is None


def test_a_background_block_is_waited_for_and_can_be_ended_by_the_page(run_page: RunPage) -> None:
    failure = run_page(
        """
        {.background until="is ready" timeout=10}
        ```bash
        (sleep 0.2; echo server is ready; exec sleep 600) &
        ```

        {.run}
        ```bash
        kill %1
        ```
        """
    )
    assert failure is None


def test_placeholders_are_filled_in_commands_files_and_outputs(run_page: RunPage) -> None:
    failure = run_page(
        """
        {.file path="YOUR_NAME.txt"}
        ```text
        to YOUR_NAME
        ```
        {.run}
        ```bash
        cat YOUR_NAME.txt
        ```
        {.output}
        ```text
        to Ada
        ```
        """,
        values={"YOUR_NAME": "Ada"},
    )
    assert failure is None


def test_home_and_kubeconfig_are_not_the_persons_own(run_page: RunPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    failure = run_page(
        f"""
        {{.run}}
        ```bash
        test "$HOME" != "{Path.home()}"
        echo "${{KUBECONFIG:-none}}"
        ```
        {{.output}}
        ```text
        none
        ```
        """
    )
    assert failure is None


def fails(failure: object, line: int, sentence: str) -> None:
    assert str(failure).startswith(f"book/page.md:{line}: "), failure
    assert sentence in str(failure)


def test_a_failing_command_in_the_middle_is_told_with_what_it_printed(run_page: RunPage) -> None:
    failure = run_page(
        """
        {.run}
        ```bash
        echo before
        (exit 3)
        echo after
        ```
        """
    )
    fails(failure, 6, "failed with exit status 3")
    assert "| before" in str(failure)
    assert "after" not in str(failure)


@pytest.mark.parametrize("command", ["false | cat", 'echo "$undefined"', "no-such-command"])
def test_failures_that_a_lax_shell_ignores_fail_the_page(run_page: RunPage, command: str) -> None:
    fails(run_page(f"{{.run}}\n```bash\n{command}\n```\n"), 5, "failed with exit status")


def test_a_mismatch_names_the_line_that_differs(run_page: RunPage) -> None:
    failure = run_page(
        """
        {.run}
        ```bash
        echo one; echo two
        ```
        {.output}
        ```text
        one
        three
        ```
        """
    )
    fails(failure, 12, "not what the page shows. It shows `three`")
    assert "| two" in str(failure)


def test_coloured_output_fails(run_page: RunPage) -> None:
    failure = run_page(
        """
        {.run}
        ```bash
        printf '\\033[31mred\\033[0m\\n'
        ```
        {.output}
        ```text
        red
        ```
        """
    )
    fails(failure, 11, "coloured")
    assert "\x1b" not in str(failure)


def test_output_that_is_not_utf8_fails_and_is_shown(run_page: RunPage) -> None:
    failure = run_page(
        """
        {.run}
        ```bash
        printf 'na\\357ve\\n'
        ```
        {.output}
        ```text
        naïve
        ```
        """
    )
    fails(failure, 11, "not what the page shows")
    assert "na\\xefve" in str(failure)


@pytest.mark.parametrize("question", ["read -r answer", "read -r answer </dev/tty"])
def test_a_command_that_asks_gets_no_answer(run_page: RunPage, question: str) -> None:
    fails(run_page(f"{{.run}}\n```bash\n{question}\n```\n"), 5, "its input is closed")


def test_a_command_that_never_ends_is_ended(run_page: RunPage) -> None:
    started = time.monotonic()
    failure = run_page("{.run timeout=1}\n```bash\necho waiting\nsleep 600\n```\n")
    fails(failure, 5, "not done after 1 s")
    assert "| waiting" in str(failure)
    assert time.monotonic() - started < 10


def test_a_page_has_a_budget(run_page: RunPage) -> None:
    page = "{.run}\n```bash\nsleep 0.7\n```\n\n{.run}\n```bash\nsleep 600\n```\n"
    fails(run_page(page, budget=1), 10, "budget of 1 s is used up")


def test_exit_ends_no_page_unseen(run_page: RunPage) -> None:
    fails(run_page("{.run}\n```bash\nexit 0\n```\n"), 5, "Leave `exit` out")


def test_a_background_block_that_is_never_ready_fails(run_page: RunPage) -> None:
    failure = run_page('{.background until="is ready" timeout=1}\n```bash\necho starting; sleep 600 &\n```\n')
    fails(failure, 5, "`is ready` was not printed within 1 s")
    assert "| starting" in str(failure)


@pytest.mark.parametrize("detached", ["sleep 600 &", "setsid sleep 600 &", "(set -m; sleep 600 &)"])
def test_a_process_that_outlives_the_page_is_told_and_ended(run_page: RunPage, detached: str) -> None:
    fails(run_page(f"{{.run}}\n```bash\n{detached}\n```\n"), 5, "leaves this running: sleep 600")


def test_a_placeholder_without_a_value_is_told_where_it_stands(run_page: RunPage) -> None:
    page = "{.run}\n```bash\necho one\ntouch ran; echo YOUR_NAME\n```\n"
    fails(run_page(page), 7, "The placeholder YOUR_NAME has no value")


@pytest.mark.parametrize("kind", ["values", "manifest"])
def test_validation_without_a_cluster_is_not_skipped(run_page: RunPage, kind: str) -> None:
    fails(run_page(f"{{.{kind}}}\n```yaml\na: 1\n```\n"), 5, "is validated with helm or kubectl")


def test_a_failure_leaves_a_bundle(run_page: RunPage, tmp_path: Path) -> None:
    run_page("{.run}\n```bash\necho something; false\n```\n")
    bundle = tmp_path / "bundles" / "book-page"
    assert "exit status 1" in (bundle / "failure.txt").read_text()
    assert (bundle / "output" / "page-line-5.txt").read_text() == "something\n"


def test_no_descriptor_is_lost(run_page: RunPage) -> None:
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - names alone
    run_page("{.run}\n```bash\ntrue\n```\n")
    run_page("{.run}\n```bash\nfalse\n```\n")
    assert len(os.listdir("/proc/self/fd")) == len(before)  # noqa: PTH208
