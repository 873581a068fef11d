"""The differentiable kinematics against those of the arms, and its gradient against differences."""

import numpy as np
import pytest
import torch

from understudy.nn.forward_kinematics import ForwardKinematics
from understudy.physics.arms import ARMS


def angles(chain, count):
    return np.random.default_rng(0).uniform(chain.low_rad, chain.high_rad, (count, len(chain)))


@pytest.mark.parametrize("name", sorted(ARMS))
@pytest.mark.parametrize("end", ["chain", "flange_chain"])
def test_positions_are_those_of_the_chain(name, end):
    chain = getattr(ARMS[name], end)
    joints = angles(chain, 50)
    forward = ForwardKinematics(chain.offsets_m, chain.turns)
    found = forward(torch.from_numpy(joints).float().view(5, 10, -1)).view(50, 3)
    np.testing.assert_allclose(found, chain.forward(joints)[0], atol=2e-6)


def test_the_gradient_is_the_jacobian():
    chain = ARMS["panda"].chain
    joints = angles(chain, 1)
    forward = ForwardKinematics(chain.offsets_m, chain.turns)
    found = torch.autograd.functional.jacobian(forward, torch.from_numpy(joints[0]).float())
    np.testing.assert_allclose(found, chain.jacobian(joints)[0, :3], atol=2e-6)
