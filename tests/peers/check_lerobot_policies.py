"""Does LeRobot itself play what we export? `python tests/peers/check_lerobot_policies.py PYTHON_WITH_LEROBOT`.

Opens the checkpoints of tests/policies/lerobot, exports them, lets LeRobot 0.4.4 open the exports and
predict, and compares with what its own checkpoints predicted. Says "agrees" for each, or fails.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]


def main(python: str) -> None:
    """Compare all cases."""
    sys.path.insert(0, str(ROOT))
    from tests.policies.test_lerobot import CASES, checkpoint
    from understudy.policies.checkpoint import load_checkpoint
    from understudy.policies.lerobot_export import export

    cases = sorted(path.name for path in CASES.iterdir())
    with tempfile.TemporaryDirectory() as scratch:
        exported = Path(scratch) / "exported"
        for case in cases:
            policy = load_checkpoint(checkpoint(case, Path(scratch) / case)).policy
            export(policy, exported / case)
        script = Path(__file__).with_name("lerobot_policies.py")
        subprocess.run([python, script, "--open", exported], check=True)
        for case in cases:
            expected = load_file(CASES / case / "case.safetensors")
            answered = load_file(exported / case / "case.safetensors")
            assert set(answered) == set(expected)
            for key, value in expected.items():
                torch.testing.assert_close(answered[key], value, rtol=1e-5, atol=1e-5)
            sys.stdout.write(f"{case}: LeRobot agrees\n")


if __name__ == "__main__":
    main(sys.argv[1])
