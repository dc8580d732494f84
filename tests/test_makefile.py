"""`make setup`: one at a time writes into .venv."""

import shutil
import subprocess
from pathlib import Path

from tests.conftest import ROOT

# Makes what a virtual environment has, with a pip that takes a while and cannot bear another one beside it.
PYTHON = """#!/bin/sh
mkdir -p .venv/bin
printf '#!/bin/sh\\nmkdir busy || exit 1; sleep 1; echo pip >> ran; rmdir busy\\n' > .venv/bin/pip
printf '#!/bin/sh\\n' > .venv/bin/python
chmod +x .venv/bin/pip .venv/bin/python
"""


def test_of_two_that_set_up_at_once_the_second_waits_and_finds_it_done(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    for file in ("Makefile", "pyproject.toml", "infra/constraints.txt", "infra/models.txt"):
        shutil.copy(ROOT / file, tmp_path / file)
    python = tmp_path / "python3.11"
    python.write_text(PYTHON)
    python.chmod(0o755)
    line = ["make", f"PYTHON={python}", "setup"]
    both = [
        subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    outputs = [one.communicate(timeout=60)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], outputs
    assert (tmp_path / "ran").read_text() == "pip\n"
    assert any("another make is setting up .venv; waiting for it" in output for output in outputs)
