"""Usage errors of the command line in one sentence, like every other error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from convscope.errors import nearest


def explain_usage(error: Any, complain: Callable[[str, str], None]) -> int:
    """Say what is wrong with the words typed; the exit code, 2."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "convscope"
    if type(error).__name__ == "NoArgsIsHelpError":
        # Making the error has shown the help, unless its text is still in it.
        if error.format_message().strip():
            print(error.format_message())
        return 0
    text = " ".join(error.format_message().split()).rstrip(".").replace("Value error, ", "")
    commands = getattr(getattr(context, "command", None), "commands", {})
    if text.startswith("No such command '"):
        typed = text.split("'")[1]
        near = nearest(typed, commands)
        complain(
            f"there is no command `{typed}`",
            f"Did you mean {', '.join(near)}?" if near else f"There are: {', '.join(commands)}.",
        )
        return 2
    complain(text[:1].lower() + text[1:], f"`{path} --help` shows how it is used.")
    return int(getattr(error, "exit_code", 2))
