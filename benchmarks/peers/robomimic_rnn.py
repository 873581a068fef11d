"""Time a training step of robomimic's BC-RNN: `PYTHON FILE JSON`, see engine_recurrent.py."""

import contextlib
import importlib
import io
import json
import sys
import warnings

import torch
from timing import median_seconds, report

warnings.filterwarnings("ignore")


def main() -> None:
    gaussians, batch, sequence, sizes, action, seconds, threads = json.loads(sys.argv[1])
    torch.set_num_threads(threads)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        algorithms = importlib.import_module("robomimic.algo")  # registers its networks
        observe = importlib.import_module("robomimic.utils.obs_utils")
        config = importlib.import_module("robomimic.config").config_factory("bc")
        with config.unlocked():
            config.train.cuda = False
            config.train.batch_size = batch
            config.train.seq_length = sequence
            config.algo.rnn.enabled = True
            config.algo.rnn.horizon = sequence
            config.algo.rnn.hidden_dim = 400
            config.algo.rnn.num_layers = 2
            config.algo.actor_layer_dims = ()
            config.algo.gmm.enabled = gaussians
            config.observation.modalities.obs.low_dim = list(sizes)
        config.lock()
        observe.initialize_obs_utils_with_config(config)
        model = algorithms.algo_factory(
            "bc",
            config,
            obs_key_shapes={key: [size] for key, size in sizes.items()},
            ac_dim=action,
            device=torch.device("cpu"),
        )
    model.set_train()
    data = {
        "obs": {key: torch.randn(batch, sequence, size) for key, size in sizes.items()},
        "actions": torch.rand(batch, sequence, action) * 2 - 1,
    }

    def once() -> None:
        prepared = model.process_batch_for_training(data)
        if hasattr(model, "postprocess_batch_for_training"):
            prepared = model.postprocess_batch_for_training(prepared, obs_normalization_stats=None)
        model.log_info(model.train_on_batch(prepared, epoch=1, validate=False))

    report(median_seconds(once, seconds))


main()
