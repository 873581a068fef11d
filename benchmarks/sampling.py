"""Samplers on PushT: what fewer steps cost in score, and what a chunk takes.

    python benchmarks/sampling.py --folder runs/pusht

Needs the runs `diffusion`, `flow`, `residual` and `one-step` of benchmarks/pusht.py in
--folder: the same demonstrations, network and training. The reference is DDPM with 100 steps, on the
same 200 starts; its difference is paired start by start, pooled over three training seeds.
Milliseconds: one chunk for one world on one thread, median of 200 after a warm-up.
"""

from __future__ import annotations

import argparse
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import results
import torch
from decisions import decision_ms
from pusht import SEEDS, STARTS, understudy

from understudy.evaluate.measure import Report
from understudy.policies.checkpoint import load_checkpoint
from understudy.run import find_checkpoint
from understudy.statistics import pooled_mean

REPEATS = 5
CHUNKS = 40  # in each repeat
# case: (run, changes of its configuration)
CASES = {
    "ddpm100": ("diffusion", {"sampler": "ddpm", "inference_steps": 100}),
    "ddim10": ("diffusion", {"sampler": "ddim", "inference_steps": 10}),
    "dpm10": ("diffusion", {"sampler": "dpm", "inference_steps": 10}),
    "ddim5": ("diffusion", {"sampler": "ddim", "inference_steps": 5}),
    "flow1": ("flow", {"inference_steps": 1}),
    "flow4": ("flow", {"inference_steps": 4}),
    "flow8": ("flow", {"inference_steps": 8}),
    "one-step": ("one-step", {}),
    "realtime": ("residual", {"inference_steps": 4}),
}
REFERENCE = "ddpm100"


def changed(folder: Path, run: str, seed: int, case: str) -> Path:
    """A copy of a run's checkpoint that is sampled otherwise."""
    copy = folder / "sampling" / f"{case}-{seed}" / "policy"
    if not copy.exists():
        shutil.copytree(find_checkpoint(folder / f"{run}-{seed}" / "run"), copy)
        config = json.loads((copy / "config.json").read_text())
        config["config"] |= CASES[case][1]
        (copy / "config.json").write_text(json.dumps(config))
    return copy


def report_of(folder: Path, case: str, seed: int) -> Report:
    """The report on 200 starts, made unless it is there; benchmarks/pusht.py made those of what is not changed."""
    run, changes = CASES[case]
    config = json.loads(
        (find_checkpoint(folder / f"{run}-{seed}" / "run") / "config.json").read_text()
    )
    if config["config"] | changes == config["config"]:
        return Report.from_json(folder / f"{run}-{seed}" / "report" / "report.json")
    checkpoint = changed(folder, run, seed, case)
    out = checkpoint.parent / "report"
    if not (out / "report.json").exists():
        understudy("evaluate", checkpoint, "--task", "pusht", "--episodes", STARTS, "--execute", 8,
                   "--videos", 0, "--out", out, log=checkpoint.parent / "evaluate.log")  # fmt: skip
    return Report.from_json(out / "report.json")


def main() -> None:
    """Evaluate what is missing and write the rows."""
    parser = argparse.ArgumentParser(description="samplers on PushT")
    parser.add_argument("--folder", type=Path, required=True, help="runs of benchmarks/pusht.py")
    folder = parser.parse_args().folder
    there = [
        case
        for case, (run, _) in CASES.items()
        if (folder / f"{run}-{SEEDS[-1]}" / "report").exists()
    ]
    with ThreadPoolExecutor(2) as pool:  # two one-threaded processes at a time
        jobs = [(case, seed) for case in there for seed in SEEDS]
        done = list(pool.map(lambda job: report_of(folder, *job), jobs))
    reports = {
        case: [r for (c, _), r in zip(jobs, done, strict=True) if c == case] for case in there
    }
    torch.set_num_threads(1)
    rows: list[results.Row] = []
    for case in there:
        scores = [report.scores for report in reports[case]]
        rows.append(results.estimate_row(case, "score", pooled_mean(scores), "1", SEEDS))
        if REFERENCE in reports and case != REFERENCE:
            pairs = zip(scores, reports[REFERENCE], strict=True)
            difference = pooled_mean([np.asarray(s - r.scores) for s, r in pairs])
            rows.append(results.estimate_row(case, "score_minus_reference", difference, "1", SEEDS))
        policy = load_checkpoint(changed(folder, CASES[case][0], 0, case)).policy
        times = [decision_ms(policy, CHUNKS) for _ in range(REPEATS)]
        rows.append(results.median_row(case, "chunk_ms", times, "ms", [0]))
        if case == "flow4":  # the small U-Net at four steps
            rows.append(results.median_row("unet", "chunk_ms", times, "ms", [0]))
    results.write("sampling", "python benchmarks/sampling.py --folder runs/pusht", rows)


if __name__ == "__main__":
    main()
