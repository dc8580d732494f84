"""What the processor at hand multiplies fast. The model and scoring ask here, and nowhere else.

The environment variable `ARTREC_INSTRUCTIONS` names the instruction sets that may be used, such as `avx2` or
`avx2,avx512`. It switches sets off, never on: any machine can run what a smaller processor runs. Processes inherit it,
and Ray workers get it (`instruction_limit`). It decides what artrec chooses. What torch chooses inside a product is
decided by ATEN_CPU_CAPABILITY and ONEDNN_MAX_CPU_ISA.
"""

import os
import platform
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Literal

from artrec_core.errors import ConfigError

SETTING = "ARTREC_INSTRUCTIONS"
CPUINFO = Path("/proc/cpuinfo")
# What each set needs, in the names of Linux and of torch, which are the same without underscores.
FLAGS = {
    "avx2": {"avx2"},
    "avx512": {"avx512bw", "avx512vl", "avx512dq"},
    "vnni": {"avx512vnni"},
    "bf16": {"avx512bf16"},
    "amx": {"amxtile", "amxbf16"},
}
NAMES = {"avx2": "AVX2", "avx512": "AVX-512", "vnni": "VNNI", "bf16": "bf16", "amx": "AMX"}


@dataclass(frozen=True)
class InstructionSets:
    """Sets of an x86 processor that decide how artrec multiplies: `vnni` for int8, `bf16` and `amx` for bfloat16."""

    avx2: bool = False
    avx512: bool = False
    vnni: bool = False
    bf16: bool = False
    amx: bool = False

    def __str__(self) -> str:
        """As a table shows them: "AVX2, AVX-512"."""
        return ", ".join(NAMES[name] for name, there in asdict(self).items() if there) or "no AVX2"


def instruction_sets() -> InstructionSets:
    """The processor's sets, less those that `ARTREC_INSTRUCTIONS` leaves out; `ConfigError` where it names an unknown one."""
    sets, limit = detect_sets(), os.environ.get(SETTING, "")
    allowed = {word.strip().lower() for word in limit.split(",") if word.strip()}
    if unknown := sorted(allowed - FLAGS.keys()):
        raise ConfigError(
            f"{SETTING} names {', '.join(unknown)}; its words are {', '.join(FLAGS)}, separated by commas"
        )
    if not allowed:
        return sets
    return InstructionSets(**{name: there and name in allowed for name, there in asdict(sets).items()})


@lru_cache(maxsize=1)
def detect_sets() -> InstructionSets:
    """All sets of the processor, whatever the environment says."""
    flags = _linux_flags() or _torch_flags()
    return InstructionSets(**{one.name: flags >= FLAGS[one.name] for one in fields(InstructionSets)})


def instruction_limit() -> dict[str, str]:
    """The environment that hands this process's limit to workers on other machines: empty where there is none."""
    return {SETTING: os.environ[SETTING]} if SETTING in os.environ else {}


def multiplies_bfloat16(device: str = "cpu") -> bool:
    """Whether the device has units for bfloat16 products. Without them such a product is some ten times a float32 one."""
    if device.startswith("cuda"):
        import torch

        has_units: bool = torch.cuda.is_bf16_supported(including_emulation=False)
        return has_units
    sets = instruction_sets()
    return sets.bf16 or sets.amx


def multiplies_int8() -> bool:
    """Whether the processor has instructions for products of eight-bit integers."""
    return instruction_sets().vnni


def auto_precision(device: str = "cpu") -> Literal["float32", "bfloat16"]:
    """What `model.precision = "auto"` stands for: bfloat16 where the device has units for it, else float32."""
    return "bfloat16" if multiplies_bfloat16(device) else "float32"


def precision_notice(precision: str, device: str = "cpu") -> str | None:
    """One line where the device makes this precision's products in float32 instead, else None."""
    on_cpu = not device.startswith("cuda")
    is_missing = {"bfloat16": not multiplies_bfloat16(device), "int8": on_cpu and not multiplies_int8()}
    if not is_missing.get(precision, False):
        return None
    where = f"this processor ({instruction_sets()})" if on_cpu else "this GPU"
    return (
        f"{where} has no instructions for {precision} products: they are made in float32, and no faster;"
        ' set model.precision = "auto" to train what suits the processor'
    )


def half_weights_notice() -> str | None:
    """One line where the processor crawls through weights that are kept in bfloat16, else None."""
    if multiplies_bfloat16():
        return None
    return (
        f"this processor ({instruction_sets()}) has no instructions for bfloat16 weights and trains ten times slower than in float32;"
        " set train.deepspeed to a file without bf16, such as infra/deepspeed/zero3.json"
    )


def processor_name() -> str:
    """Such as "AMD EPYC"."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())


def describe_machine(threads: int | None = None) -> str:
    """What a figure was measured on: "AMD EPYC, 2 threads, AVX2". Without `threads`, as many as this process may use."""
    used = threads or len(os.sched_getaffinity(0))
    return f"{processor_name()}, {used} thread{'s' if used != 1 else ''}, {instruction_sets()}"


def _linux_flags() -> set[str]:
    flags = [line.partition(":")[2].split() for line in _cpuinfo() if line.startswith("flags")]
    return {flag.replace("_", "") for flag in next(iter(flags), [])}


def _cpuinfo() -> list[str]:
    try:
        return CPUINFO.read_text().splitlines()
    except OSError:
        return []


def _torch_flags() -> set[str]:
    # Elsewhere than on Linux; an image without torch multiplies nothing.
    try:
        import torch

        found = torch.cpu.get_capabilities()
    except (ImportError, AttributeError, RuntimeError):
        return set()
    return {name.replace("_", "") for name, there in found.items() if there is True}
