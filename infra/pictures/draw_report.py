"""Draw the top of a curator's page, in a real browser, for README.md.

It needs Chromium or Google Chrome, and fonts for Chinese, Japanese and Arabic titles (on Debian: `fonts-noto-core` and
`fonts-noto-cjk`). After `make nightly`, run from the root of the repository:

    .venv/bin/python infra/pictures/draw_report.py .artrec/demo/lake/_notes/run_date=2026-03-30/report.html
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PICTURE = Path(__file__).parent / "report.png"
# Pixels: the header of the page, and the first visitor of a demo night.
WIDTH, HEIGHT = 1200, 1330
TIMEOUT_SECONDS = 120


def draw(page: Path, picture: Path, height: int) -> None:
    """Write the first `height` pixels of an HTML page as a PNG that is WIDTH pixels wide."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"no browser found; install one of {', '.join(BROWSERS)} first")
    if not page.is_file():
        sys.exit(f"{page} does not exist; run `make nightly` first")
    picture.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        flags = [
            "--headless",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
            "--disable-background-networking",
            f"--user-data-dir={profile}",
            f"--window-size={WIDTH},{height}",
            f"--screenshot={picture.resolve()}",
        ]
        # Chromium's sandbox does not start for root, as in a container.
        flags += ["--no-sandbox"] if os.geteuid() == 0 else []
        command = [browser, *flags, page.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_SECONDS)
    if not picture.is_file():
        sys.exit(f"{browser} wrote no picture of {page}")
    print(f"{picture}: {picture.stat().st_size // 1024} KB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="the note report.html of a night")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="the PNG to write (default: %(default)s)")
    parser.add_argument("--height", type=int, default=HEIGHT, help="height in pixels (default: %(default)s)")
    arguments = parser.parse_args()
    draw(arguments.page, arguments.picture, arguments.height)
