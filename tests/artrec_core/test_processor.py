import subprocess
import sys
from pathlib import Path

import pytest
import torch

from artrec_core import processor
from artrec_core.errors import ConfigError
from artrec_core.processor import InstructionSets, detect_sets, instruction_limit, instruction_sets

EVERY = InstructionSets(avx2=True, avx512=True, vnni=True, bf16=True, amx=True)
ZEN4 = "model name\t: AMD EPYC 9654\nflags\t\t: fpu avx2 avx512dq avx512bw avx512vl avx512_bf16 avx512_vnni\n"
ZEN3 = "model name\t: AMD EPYC\nflags\t\t: fpu avx2 rdseed\n"


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What Linux says of the processor; not there until a test writes it."""
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(processor, "detect_sets", detect_sets.__wrapped__)
    monkeypatch.delenv(processor.SETTING, raising=False)
    return tmp_path / "cpuinfo"


@pytest.mark.parametrize(
    ("text", "name", "sets"),
    [
        (ZEN4, "AMD EPYC 9654", InstructionSets(avx2=True, avx512=True, vnni=True, bf16=True)),
        (ZEN3, "AMD EPYC", InstructionSets(avx2=True)),
        ("model name : old\nflags : fpu sse\n", "old", InstructionSets()),
    ],
)
def test_linux_says_what_a_processor_has(cpuinfo: Path, text: str, name: str, sets: InstructionSets):
    cpuinfo.write_text(2 * text)
    assert instruction_sets() == sets
    assert processor.describe_machine(2) == f"{name}, 2 threads, {sets}"


def test_elsewhere_torch_says_it(cpuinfo: Path, monkeypatch: pytest.MonkeyPatch):
    capabilities = {"avx2": True, "avx512_vnni": True, "cpu_name": "one", "avx512_bf16": False, "l1d_cache_size": 1}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert instruction_sets() == InstructionSets(avx2=True, vnni=True)
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert instruction_sets() == InstructionSets()
    assert processor.processor_name()


def test_linux_and_torch_agree_on_this_machine(monkeypatch: pytest.MonkeyPatch):
    if not (linux := processor._linux_flags()):
        pytest.skip("there is no /proc/cpuinfo here")
    torches = processor._torch_flags()
    assert [needed <= linux for needed in processor.FLAGS.values()] == [
        needed <= torches for needed in processor.FLAGS.values()
    ]


def test_the_setting_switches_sets_off_and_never_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processor, "detect_sets", lambda: EVERY)
    monkeypatch.setenv(processor.SETTING, "avx2, AVX512")
    assert instruction_sets() == InstructionSets(avx2=True, avx512=True)
    assert processor.auto_precision() == "float32"
    monkeypatch.setenv(processor.SETTING, "")
    assert instruction_sets() == EVERY
    assert processor.auto_precision() == "bfloat16"
    monkeypatch.setattr(processor, "detect_sets", lambda: InstructionSets(avx2=True))
    monkeypatch.setenv(processor.SETTING, "avx2,vnni,bf16")
    assert instruction_sets() == InstructionSets(avx2=True)


def test_an_unknown_word_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(processor.SETTING, "avx2,sse9")
    with pytest.raises(ConfigError, match="names sse9; its words are avx2, avx512, vnni, bf16, amx"):
        instruction_sets()


def test_the_limit_reaches_child_processes_and_workers(small_processor: None):
    code = "from artrec_core.processor import instruction_sets; print(instruction_sets())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == str(instruction_sets())
    assert instruction_limit() == {"ARTREC_INSTRUCTIONS": "avx2"}


def test_no_limit_hands_nothing_to_workers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(processor.SETTING, raising=False)
    assert instruction_limit() == {}


@pytest.mark.parametrize(("bf16", "amx"), [(True, False), (False, True)])
def test_either_unit_for_bfloat16_is_enough(bf16: bool, amx: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processor, "detect_sets", lambda: InstructionSets(avx512=True, bf16=bf16, amx=amx))
    monkeypatch.delenv(processor.SETTING, raising=False)
    assert processor.auto_precision() == "bfloat16"
    assert processor.precision_notice("bfloat16") is None


def test_a_precision_that_falls_back_says_so_and_what_to_set(small_processor: None):
    for precision in ("bfloat16", "int8"):
        notice = processor.precision_notice(precision)
        assert notice is not None
        assert f"no instructions for {precision} products" in notice
        assert 'set model.precision = "auto"' in notice
    assert processor.precision_notice("float32") is None
    assert processor.precision_notice("auto") is None
