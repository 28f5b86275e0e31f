"""Too little memory: recognised, and said in terms that help."""

from pathlib import Path

import pytest
import torch

from pipeline.base.machine import bytes_asked, out_of_memory, peak_memory
from pipeline.runs.job import Job
from pipeline.runs.run import shortage_facts

CUDA = (
    "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.02 GiB is free."
    "\nMore."
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (CUDA, 2684354560),
        ("CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 23.65 GiB total capacity)", 20971520),
        (
            "[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory: "
            "you tried to allocate 4000000000000 bytes. Error code 12",
            4000000000000,
        ),
        ("no room", None),
    ],
)
def test_bytes_are_read_from_the_message(message, expected):
    assert bytes_asked(message) == expected


def test_a_real_refusal_of_the_cpu_is_understood():
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60, dtype=torch.uint8)
    assert out_of_memory(error.value) and bytes_asked(str(error.value)) == 2**60


@pytest.fixture
def job(plan):
    def make(parts: int = 1, **changes) -> Job:
        return Job(name="cell", plan=plan(**changes), data=Path(), out=Path(), work=Path(), key="ab", parts=parts)

    return make


def test_the_facts_say_what_was_asked_for_and_what_would_help(job):
    facts = shortage_facts(torch.OutOfMemoryError(CUDA), job(batch_discriminator=64, batch_generator=128))
    assert facts["detail"] == CUDA.splitlines()[0] and facts["bytes_asked"] == 2684354560
    assert (facts["batch_discriminator"], facts["batch_generator"]) == (64, 128)
    assert facts["would_help"] == (
        "train.accumulate: 2, train.recompute: true, train.precision: bf16, "
        "smaller train.batch_discriminator and train.batch_generator"
    )


@pytest.mark.parametrize(
    ("parts", "changes", "advice"),
    [
        (4, {"recompute": True, "precision": "bf16"}, "train.accumulate: 8, smaller "),
        (1, {"variant": "batch_norm"}, "train.recompute: true, "),  # its statistics are those of the whole batch
        (8, {"batch_generator": 72}, "train.recompute: true, "),  # divides by 8 and not by 16
    ],
)
def test_what_is_already_on_or_not_possible_is_not_advised(job, parts, changes, advice):
    given = {"batch_discriminator": 64, "batch_generator": 128, **changes}
    assert shortage_facts(MemoryError(), job(parts, **given))["would_help"].startswith(advice)


def test_an_error_without_words_has_a_name(job):
    assert shortage_facts(MemoryError(), job())["detail"] == "MemoryError"


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        OSError("No space left on device"),
        KeyboardInterrupt(),
    ],
)
def test_other_errors_are_no_shortage(error):
    assert not out_of_memory(error)


def test_peak_memory_is_in_mib():
    resident = torch.ones(2**27, dtype=torch.uint8)
    assert len(resident) / 2**20 < peak_memory(torch.device("cpu")) < 2**20


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: out of memory",
        "NCCL error: unhandled cuda error. Last error: Cuda failure 2 'out of memory'",
        "CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)",
        "DefaultCPUAllocator: can't allocate memory",
    ],
)
def test_a_shortage_that_is_a_plain_runtime_error_is_known_by_its_words(message):
    assert out_of_memory(RuntimeError(message)) and not out_of_memory(RuntimeError("shapes do not match"))
