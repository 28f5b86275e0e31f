"""Twenty trainings whose workers, dvcs and trainers are killed at random moments: none is lost, none trained twice."""

import contextlib
import os
import random
import re
import signal
import subprocess
import time
from collections import Counter

import pytest

pytestmark = pytest.mark.cluster
CELLS, STEPS, AT_ONCE = 20, 12, 3


def test_twenty_cells_killed_at_random_moments(stub):
    project = stub(variants=("full", "again"), seeds=range(CELLS), steps=STEPS, seconds=0.3)
    chance, kills = random.Random(0), Counter()
    code, output = project.run("pipeline.cli", "gather")
    assert code == 0 and f"{2 * CELLS} cells: {2 * CELLS} missing" in output, output
    cells = [f"digits/full/seed{seed}" for seed in range(CELLS)]
    # Two moments for each cell, as lines of the log: a line for each step, one for measure and one for illustrate.
    moments = {cell: sorted(chance.sample(range(STEPS + 3), 2)) for cell in cells}
    waiting, running = list(cells), {}
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            cell = waiting.pop(0)
            running[cell] = project.start_worker(cell)
        time.sleep(0.1)
        logged = Counter(re.search(r"digits/full/seed\d+", line)[0] for line in project.logged() if "full/seed" in line)
        for cell, process in list(running.items()):
            if process.poll() is not None:
                del running[cell]
                if process.returncode:
                    waiting.append(cell)
            elif moments[cell] and logged[cell] >= moments[cell][0]:
                moments[cell].pop(0)
                time.sleep(chance.uniform(0.0, 0.5))
                who = chance.choice(["worker", "group", "trainer", "terminate"])
                kill(project, cell, process, who)
                kills[who] += 1
    steps = Counter(line for line in project.logged() if re.search(r"full/seed\d+ \d+$", line))
    assert len(steps) == CELLS * STEPS  # none lost
    assert max(steps.values()) == 1  # none trained twice, not even a step: each is stored before it is logged
    assert sum(kills.values()) >= CELLS, kills
    code, output = project.run("pipeline.cli", "gather", "--restore")
    assert (
        code == 0
        and f"{2 * CELLS} done" in output
        and f"{2 * CELLS} of {2 * CELLS} cells restored" in output
        and " 0 trained" in output
    ), output
    assert not list(project.work.glob("*/step.json"))  # every state was removed once its results were pushed


def kill(project, cell: str, worker: subprocess.Popen, who: str) -> None:
    """worker | trainer (SIGKILL), group (SIGKILL to the worker and its children), terminate (SIGTERM to the worker)."""
    victims = [worker.pid]
    if who in ("group", "trainer"):
        below = descendants(worker.pid)
        victims = below[-1:] if who == "trainer" else [worker.pid, *below]
    for victim in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGTERM if who == "terminate" else signal.SIGKILL)


def descendants(process: int) -> list[int]:
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True)
    return [one for child in map(int, done.stdout.split()) for one in (child, *descendants(child))]


def test_two_heads_gather_at_the_same_time(stub):
    project = stub(seeds=range(4))
    for seed in range(4):
        assert project.start_worker(f"digits/full/seed{seed}").wait(timeout=300) == 0
    heads = [project.clone(name) for name in ("first", "second")]
    command = project.command("")[:1] + ["-m", "pipeline.cli", "gather", "--restore"]
    both = [
        subprocess.Popen(command, cwd=head, env=project.environment(), stdout=subprocess.PIPE, text=True)
        for head in heads
    ]
    for process in both:
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0 and "4 of 4 cells restored" in output and " 0 trained" in output, output
    assert all((head / f"runs/digits/full/seed{seed}/weights").is_file() for head in heads for seed in range(4))
