"""What is printed for people."""

from __future__ import annotations

from typing import TextIO, final

from rich import console


@final
class Console(console.Console):
    """Rich's, without colours for numbers and paths; what the end of a pipe means is left to `main`."""

    def __init__(self, file: TextIO | None = None) -> None:
        super().__init__(file=file, highlight=False)

    def on_broken_pipe(self) -> None:
        """Let the error go on: this is called where it is handled."""
        raise
