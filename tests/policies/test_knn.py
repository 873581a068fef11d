"""Nearest neighbours: what counts as near."""

import numpy as np
import pytest
import torch

from understudy.data.store import Dataset
from understudy.episode import Episode
from understudy.learn.clone import clone
from understudy.learn.supervised import LearnConfig
from understudy.policies.knn import KnnConfig
from understudy.spec import ENVIRONMENT_STATE, STATE, Signal, Spec

SPEC = Spec(
    {STATE: Signal((2,), unit="rad"), ENVIRONMENT_STATE: Signal((1,), unit="rad")},
    Signal((1,)),
    rate_hz=10.0,
    task="two joints, of which the second hardly moves",
)


@pytest.fixture
def shown(tmp_path):
    """A joint that goes from 0 to 1 while the other trembles; the action is the row's number."""
    rows = 101
    joints = np.stack([np.linspace(0, 1, rows), 0.001 * (-1.0) ** np.arange(rows)], 1)
    with Dataset.create(tmp_path / "set", SPEC) as made:
        made.append(
            Episode(
                observations={STATE: joints, ENVIRONMENT_STATE: np.linspace(1, 0, rows)[:, None]},
                actions=np.arange(rows)[:, None],
                rewards=np.zeros(rows),
                time_s=np.arange(rows) / 10,
                terminated=True,
                truncated=False,
            )
        )
    return Dataset.open(tmp_path / "set")


def nearest(shown, joints, other, **options):
    """The number of the nearest row."""
    policy = clone(KnnConfig(k=1, **options), shown, LearnConfig())
    seen = {STATE: torch.tensor([[joints]]), ENVIRONMENT_STATE: torch.tensor([[[other]]])}
    seen["tick"] = torch.zeros(1, 1, dtype=torch.int64)
    return round(float(policy.predict(seen, torch.zeros(1, 0))))


def test_in_its_own_deviations_a_joint_that_trembles_counts_as_much_as_one_that_moves(shown):
    # 0.002 rad are two deviations of the trembling joint, and 0.6 rad of the other: it tells odd rows.
    assert nearest(shown, [0.5, 0.001], 0.5) == 50
    assert nearest(shown, [0.5, -0.001], 0.5) in (49, 51)


def test_together_radians_are_radians(shown):
    for trembling in (-0.001, 0.001, 0.05):
        assert nearest(shown, [0.5, trembling], 0.5, scale="together") == 50


def test_what_is_emphasised_decides_where_two_observations_disagree(shown):
    joints, other = [0.3, 0.0], 0.3  # rows 30 and 70
    both = nearest(shown, joints, other, scale="together")
    assert both == pytest.approx(50, abs=1)
    state = nearest(shown, joints, other, scale="together", emphasis=(f"{STATE}=10",))
    assert state == pytest.approx(30, abs=1)
    without = (f"{ENVIRONMENT_STATE}=5", f"{STATE}=0")
    assert nearest(shown, joints, other, scale="together", emphasis=without) == 70


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("observation.stat=2", "no vector 'observation.stat'; there is: observation.state"),
        (STATE, "expected KEY=FACTOR"),
        (f"{STATE}=-1", "a factor is at least 0"),
        (f"{STATE}=nan", "a factor is at least 0"),
    ],
)
def test_an_emphasis_that_means_nothing_is_refused(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        KnnConfig(emphasis=(text,)).build(SPEC)
