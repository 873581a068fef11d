"""Engines on other systems than this one."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_only_linux_is_told_to_draw_without_a_screen(system):
    code = (
        "import os, sys; os.environ.pop('MUJOCO_GL', None);import mujoco, gymnasium, numpy.random, scipy.spatial, matplotlib.image, tempfile, subprocess;"
        f"sys.platform = {system!r};"
        "import understudy.physics.mujoco, understudy.tasks.gym; print(os.environ.get('MUJOCO_GL'))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "None"


def test_where_mujoco_was_imported_too_early_to_draw_the_remedy_is_said():
    code = (
        "import os; [os.environ.pop(name, None) for name in ('MUJOCO_GL', 'DISPLAY')];"
        "import mujoco; from tests.scenes import SCENE;"
        "from understudy.physics.mujoco import MujocoArm;"
        "MujocoArm(SCENE).render('front', 64, 64)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if sys.platform == "linux":
        assert "MUJOCO_GL=egl, set before mujoco is first imported" in ran.stderr
