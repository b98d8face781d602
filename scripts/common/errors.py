"""The exception whose message is for people."""


class UserError(Exception):
    """An error that people can act on: a sentence that says what is wrong, and one that says what to do next."""

    def __init__(self, what: str, next_step: str) -> None:
        """Say what is wrong and what to do; both are whole sentences."""
        super().__init__(what)
        self.what = what
        self.next_step = next_step

    def __str__(self) -> str:
        """Both sentences, the next step on its own line."""
        return f"{self.what}\n  {self.next_step}"
