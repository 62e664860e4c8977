"""The command line: ``convscope COMMAND``, one file a command."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; every expected failure is one sentence on stderr and an exit code."""
    from convscope.errors import ConvscopeError

    try:
        from convscope.cli.app import app

        app(prog_name="convscope")
    except ConvscopeError as error:
        _complain(error.message, error.hint)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _complain("interrupted; files already named above are whole, nothing else was written")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output (`| head`) has left; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except MemoryError:
        _complain("not enough memory for this model and picture", "Try a smaller `--size`.")
        sys.exit(1)
    except Exception as error:
        if os.environ.get("CONVSCOPE_DEBUG"):
            raise
        _complain(
            f"convscope failed in a way it should not: {type(error).__name__}: {error}",
            "This is a defect of convscope; CONVSCOPE_DEBUG=1 shows where it happened.",
        )
        sys.exit(1)


def _complain(message: str, hint: str = "") -> None:
    lines = [f"error: {message}", *([hint] if hint else [])]
    text = "\n".join(lines) + "\n"
    encoding = sys.stderr.encoding or "utf-8"
    sys.stderr.write(text.encode(encoding, "backslashreplace").decode(encoding))
