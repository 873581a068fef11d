"""A round of DAgger with every policy that it is promised for: shown, taught, corrected, taught again, measured."""

import json

import numpy as np
import pytest
from safetensors.torch import load_file

from understudy.cli import main
from understudy.data.store import Dataset

ROUND = ("--demonstrations", "1", "--rounds", "1", "--episodes", "1", "--steps", "3", "--batch-size", "8",
         "--starts", "1", "--gate", "beta", "--beta-decay", "0.5")  # fmt: skip
PENDULUM = ("--task", "pendulum")
UNET = ("--horizon", "4", "--execute", "2", "--inference-steps", "2", "--network", "residual",
        "--width", "16", "--depth", "1")  # fmt: skip
SMALL = {
    "act": (*PENDULUM, "--horizon", "4", "--width", "16", "--heads", "2", "--hidden", "16",
            "--encoder-layers", "1", "--decoder-layers", "1"),
    "cnn": ("--task", "car-racing:hold=10,limit_s=4", "--channels", "8", "8", "--width", "16",
            "--history", "2"),
    "diffusion": (*PENDULUM, *UNET),
    "flow": (*PENDULUM, *UNET),
    "lstm": (*PENDULUM, "--history", "3", "--width", "16", "--modes", "1"),
    "mlp": (*PENDULUM, "--width", "16", "--depth", "1"),
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_a_policy_of_any_kind_is_corrected_and_learns_from_it(name, tmp_path):
    run = tmp_path / "run"
    assert main(["dagger", name, "--run", str(run), *SMALL[name], *ROUND]) == 0
    shown, corrected = (episode for episode in Dataset.open(run / "data"))
    assert corrected.source.startswith("mixture of expert, ")
    helped = np.asarray(corrected.intervention)
    assert set(helped.tolist()) == {True, False}
    assert np.isfinite(corrected.labels).all()
    apart = (corrected.actions != corrected.labels).any(axis=1)
    assert (apart <= ~helped).all()  # only the learner does other than its label
    assert apart.any()
    plans = [json.loads((run / f"rounds/0{i}/policy/run.json").read_text()) for i in (0, 1)]
    assert plans[0]["episodes"]["train"] == [shown.id]
    assert plans[1]["episodes"]["train"] == [shown.id, corrected.id]
    first, second = (
        load_file(run / "checkpoints" / f"00000{i}" / "model.safetensors") for i in (0, 1)
    )
    assert any(not value.equal(second[key]) for key, value in first.items())
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["episodes"] for row in rows] == [1, 2]
    assert 0 < rows[1]["interventions"] < 1
