"""Which matrix products this processor computes fast. The model and scoring decide by this module only.

The environment variable `ARTREC_INSTRUCTIONS` names the instruction sets that may be used, such as `avx2` or
`avx2,avx512`. It only switches sets off, so a machine can behave like one with a smaller processor. Child processes
inherit it, and Ray workers get it by `instruction_limit`. It limits what artrec chooses; ATEN_CPU_CAPABILITY and
ONEDNN_MAX_CPU_ISA limit what torch chooses inside a product.
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
# The processor flags that each set needs. Linux and torch use the same names, apart from underscores.
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
    """Instruction sets of an x86 processor that artrec uses: `vnni` for int8 products, `bf16` and `amx` for bfloat16."""

    avx2: bool = False
    avx512: bool = False
    vnni: bool = False
    bf16: bool = False
    amx: bool = False

    def __str__(self) -> str:
        """Text for a table, such as "AVX2, AVX-512"."""
        return ", ".join(NAMES[name] for name, is_present in asdict(self).items() if is_present) or "no AVX2"


def instruction_sets() -> InstructionSets:
    """The processor's sets that `ARTREC_INSTRUCTIONS` allows; `ConfigError` if it names an unknown set."""
    sets, limit = detect_sets(), os.environ.get(SETTING, "")
    allowed_names = {word.strip().lower() for word in limit.split(",") if word.strip()}
    if unknown_names := sorted(allowed_names - FLAGS.keys()):
        raise ConfigError(
            f"{SETTING} names {', '.join(unknown_names)}; its words are {', '.join(FLAGS)}, separated by commas"
        )
    if not allowed_names:
        return sets
    return InstructionSets(**{name: is_present and name in allowed_names for name, is_present in asdict(sets).items()})


@lru_cache(maxsize=1)
def detect_sets() -> InstructionSets:
    """All sets of the processor; the environment does not matter."""
    flags = _linux_flags() or _torch_flags()
    return InstructionSets(**{field.name: flags >= FLAGS[field.name] for field in fields(InstructionSets)})


def instruction_limit() -> dict[str, str]:
    """Environment variables that pass this process's limit to workers on other machines; empty if there is no limit."""
    return {SETTING: os.environ[SETTING]} if SETTING in os.environ else {}


def multiplies_bfloat16(device: str = "cpu") -> bool:
    """Whether the device has units for bfloat16 products. Without them such a product takes ten times as long as in float32."""
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
    """The precision for `model.precision = "auto"`: bfloat16 if the device has units for it, else float32."""
    return "bfloat16" if multiplies_bfloat16(device) else "float32"


def precision_notice(precision: str, device: str = "cpu") -> str | None:
    """One line of text if the device computes products of this precision in float32 instead, else None."""
    on_cpu = not device.startswith("cuda")
    is_missing = {"bfloat16": not multiplies_bfloat16(device), "int8": on_cpu and not multiplies_int8()}
    if not is_missing.get(precision, False):
        return None
    where = f"this processor ({instruction_sets()})" if on_cpu else "this GPU"
    return (
        f"{where} has no instructions for {precision} products: they are computed in float32, no faster;"
        ' set model.precision = "auto" for the precision that suits the processor'
    )


def half_weights_notice() -> str | None:
    """One line of text if the processor is slow with weights in bfloat16, else None."""
    if multiplies_bfloat16():
        return None
    return (
        f"this processor ({instruction_sets()}) has no instructions for bfloat16 weights and trains ten times as slowly as with float32;"
        " set train.deepspeed to a file without bf16, such as infra/deepspeed/zero3.json"
    )


def processor_name() -> str:
    """Name of the processor, such as "AMD EPYC"."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())


def describe_machine(threads: int | None = None) -> str:
    """The machine of a measurement, such as "AMD EPYC, 2 threads, AVX2"; without `threads`, all that this process may use."""
    count = threads or len(os.sched_getaffinity(0))
    return f"{processor_name()}, {count} thread{'s' if count != 1 else ''}, {instruction_sets()}"


def _linux_flags() -> set[str]:
    flags = [line.partition(":")[2].split() for line in _cpuinfo() if line.startswith("flags")]
    return {flag.replace("_", "") for flag in next(iter(flags), [])}


def _cpuinfo() -> list[str]:
    try:
        return CPUINFO.read_text().splitlines()
    except OSError:
        return []


def _torch_flags() -> set[str]:
    # For systems other than Linux. Without torch nothing is multiplied.
    try:
        import torch

        capabilities = torch.cpu.get_capabilities()
    except (ImportError, AttributeError, RuntimeError):
        return set()
    return {name.replace("_", "") for name, is_present in capabilities.items() if is_present is True}
