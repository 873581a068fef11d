import os

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """Keep the caches of the tests apart from the user's."""
    os.environ["UNDERSTUDY_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Bitwise equality is promised at one thread count."""
    torch.set_num_threads(1)
