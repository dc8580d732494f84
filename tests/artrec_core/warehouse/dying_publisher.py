"""Publishes a day and kills itself with -9: after the first frame (`loading`) or before the day is served (`audit`)."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping

import polars as pl
from small_day import day_tables, publication

from artrec_core.warehouse import open_warehouse


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def one_frame_only(frames: list[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    yield frames[0]
    die()


def last_audit(loaded: Mapping[str, int]) -> None:
    die()


url, day, model_version, at = sys.argv[1:]
tables = day_tables(day, model_version)
dying = {name: one_frame_only(frames) for name, frames in tables.items()}
open_warehouse(url).publish(publication(day, model_version), dying if at == "loading" else tables, last_audit)
