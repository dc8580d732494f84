"""The script that draws a page, in a real browser."""

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "infra" / "pictures" / "draw_report.py"


def draw(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180)


@pytest.mark.skipif(
    not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    reason="there is no browser on this machine",
)
def test_the_picture_has_the_requested_size(tmp_path: Path) -> None:
    page, picture = tmp_path / "page.html", tmp_path / "page.png"
    page.write_text("<h1>Sunflowers</h1>")
    process = draw(page, "--picture", picture, "--height", 300)
    assert process.returncode == 0, process.stderr
    raw = picture.read_bytes()
    assert raw.startswith(b"\x89PNG")
    # Bytes 16 to 24 of a PNG are its width and height.
    assert struct.unpack(">II", raw[16:24]) == (1200, 300)


def test_a_page_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    process = draw(tmp_path / "page.html", "--picture", tmp_path / "page.png")
    assert process.returncode == 1
    assert not (tmp_path / "page.png").exists()
