"""The command line: ``convscope COMMAND``, one file a command."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code.

    Every expected failure is one sentence on stderr, then a hint: exit 1, or 2 for arguments
    that make no sense; 130 after Ctrl-C, 143 when told to end. ``CONVSCOPE_DEBUG=1`` shows tracebacks.

    Parameters
    ----------
    arguments
        Words after ``convscope``; those of the process if not given.
    """
    from convscope.cli.interrupts import Interrupts, leave_at

    with Interrupts() as interrupts:
        try:
            code = _run(arguments)
        except BaseException as error:
            # What Ctrl-C breaks off inside a library may come out as an error of that library.
            if interrupts.seen is None and not isinstance(error, KeyboardInterrupt):
                code = _explain(error)
            else:
                code = leave_at(interrupts.seen)
    sys.exit(code)


def _run(arguments: Sequence[str] | None) -> int:
    for stream in (sys.stdout, sys.stderr):
        # A terminal or pipe that cannot show × or a file name that is no text must not end the job.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    import typer

    from convscope.cli.app import app

    command = typer.main.get_command(app)
    try:
        words = sys.argv[1:] if arguments is None else arguments
        with command.make_context("convscope", list(words)) as context:
            command.invoke(context)
        code = 0
    except typer.Exit as exit_:
        code = exit_.exit_code
    sys.stdout.flush()
    return code


def _explain(error: BaseException) -> int:
    """Say what went wrong; the exit code."""
    from convscope.errors import ConvscopeError, DownloadError, MissingExtraError

    if isinstance(error, ConvscopeError):
        hint = error.hint
        if isinstance(error, (DownloadError, MissingExtraError)) and "--weights none" not in hint:
            hint = f"{hint}\n{_OFFLINE}".strip()
        _complain(error.message, hint)
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        _silence()
        return 1
    if isinstance(error, SystemExit):
        # Rich leaves this way when the reader of our output (`| head`) has left.
        _silence()
        return error.code if isinstance(error.code, int) else 1
    import typer

    if isinstance(error, _click_exception()):
        from convscope.cli.usage import explain_usage

        return explain_usage(error, _complain)
    if isinstance(error, typer.Abort):
        return 1
    if os.environ.get("CONVSCOPE_DEBUG"):
        raise error
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        _complain("there is not enough memory for this model and picture", "Try a smaller `--size`.")
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO):
        _complain(f"the output could not be written: {error.strerror}")
        _silence()
    else:
        _complain(
            f"convscope failed in a way it should not: {type(error).__name__}: {error}",
            "This is a defect of convscope; CONVSCOPE_DEBUG=1 shows where it happened.",
        )
    return 1


_OFFLINE = (
    "What works with nothing more, on random weights: "
    "convscope look YOUR-PHOTO.jpg --model resnet18 --weights none"
)


def _click_exception() -> type[BaseException]:
    import typer

    # Some releases of typer bring click along under another name; this finds the class in both.
    return next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def _silence() -> None:
    """There is nobody left to read our output; keep the interpreter from saying so at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _complain(message: str, hint: str = "") -> None:
    from convscope.cli.options import clean

    lines = [f"error: {message}", *([hint] if hint else [])]
    try:
        print(*map(clean, lines), sep="\n", file=sys.stderr, flush=True)
    except OSError:
        _silence()
