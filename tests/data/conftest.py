"""What the tests of the data share: the folder of real demonstrations, where there is one."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that UNDERSTUDY_TEST_DATA names; the test is skipped where there is none."""
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("UNDERSTUDY_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip("UNDERSTUDY_TEST_DATA: no folder of real demonstrations")
    return folder


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """What datasets cache goes to a folder of the test's own."""
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path_factory.mktemp("cache")))
