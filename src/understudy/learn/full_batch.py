"""Full-batch training of a small ReLU network on the processor, as fast as its vector units allow.

Adam (Kingma & Ba 2015, arXiv 1412.6980) on the mean squared error over all samples, in single
precision: what the usual PyTorch loop does, with the same defaults. On a hundred samples four
tenths of that loop go into Adam on small tensors, and MKL on AMD multiplies at half the rate of
AVX-512. Here hundreds of epochs are one call of C (full_batch.c), compiled at its first use in a
process, which takes about half a second. Without a compiler PyTorch trains: slower, to the same
result but for rounding. Rounding counts after about 1,000 epochs: such training magnifies it, and
the usual loop too ends elsewhere at another number of threads (benchmarks/full_batch.py, which has
the times as well).
"""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

SOURCE = Path(__file__).with_suffix(".c")
FLAGS = "-std=gnu11 -O2 -ftree-vectorize -fno-math-errno -fno-trapping-math -shared -fPIC -pthread"
# By what PyTorch says of the processor; -march=native was no faster and asks for a newer compiler.
VECTOR_FLAGS = {
    "AVX2": "-mavx2 -mfma",
    "AVX512": "-mavx512f -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512",
}
PADDED_TO = 16  # floats in the widest vector
SAMPLES_PER_THREAD = 32  # with fewer, threads would mostly wait for one another
EPOCHS_PER_CALL = 500  # between calls the user can interrupt


def fit_full_batch(
    inputs: Tensor,
    targets: Tensor,
    hidden: Sequence[int] = (128, 256, 128),
    *,
    epochs: int = 10_000,
    learning_rate: float = 1e-3,
    seed: int = 0,
    threads: int | None = None,
) -> tuple[nn.Sequential, Tensor]:
    """Fit a ReLU network to inputs (B, D) and targets (B, A); returns it and its losses (epochs,).

    The network starts as one built from `nn.Linear` after `torch.manual_seed(seed)`. A loss is the
    one before its epoch's update; the gradients of the last epoch stay in `.grad`. The same seed
    gives the same bits, compiled also at any number of threads: by default as many as PyTorch has,
    but one for at most 32 samples. Meant for some thousand samples, whose activations are all held
    at once. Raises ValueError unless inputs and targets are finite float32 matrices of equal length
    on the processor.
    """
    _check(inputs, targets)
    if threads is None:
        threads = min(torch.get_num_threads(), max(1, len(inputs) // SAMPLES_PER_THREAD))
    if min(epochs, threads, *hidden) < 1:
        raise ValueError(
            f"epochs, threads and hidden widths must be at least 1, got {epochs}, {threads}, {hidden}"
        )
    network = _network([inputs.shape[1], *hidden, targets.shape[1]], seed)
    routine = _compiled()
    train = _train_with_torch if routine is None else functools.partial(_train, routine)
    threads = min(threads, len(inputs))
    return network, train(network, inputs, targets, epochs, learning_rate, threads)


def _check(inputs: Tensor, targets: Tensor) -> None:
    for name, tensor in {"inputs": inputs, "targets": targets}.items():
        got = f"{name} is {tensor.dtype} {tuple(tensor.shape)} on {tensor.device}"
        if (tensor.ndim, tensor.dtype, tensor.device.type) != (2, torch.float32, "cpu"):
            raise ValueError(f"{got}; expected a float32 matrix, one row a sample, on the CPU")
        if tensor.numel() == 0:
            raise ValueError(f"{got}; expected at least one row and one column")
        faulty = (~tensor.isfinite()).any(dim=1).nonzero()
        if len(faulty):
            raise ValueError(f"{name} holds NaN or infinity, first in row {int(faulty[0])}")
    if len(inputs) != len(targets):
        raise ValueError(f"inputs has {len(inputs)} rows, targets {len(targets)}; expected as many")


def _network(widths: Sequence[int], seed: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        layers = [m for pair in pairwise(widths) for m in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def _train_with_torch(
    network: nn.Sequential,
    inputs: Tensor,
    targets: Tensor,
    epochs: int,
    learning_rate: float,
    threads: int,
) -> Tensor:
    losses = torch.empty(epochs)
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for epoch in range(epochs):
            optimiser.zero_grad()
            loss = nn.functional.mse_loss(network(inputs), targets)
            loss.backward()
            optimiser.step()
            losses[epoch] = loss.detach()
    finally:
        torch.set_num_threads(before)
    return losses


def _train(
    routine: Callable[..., None],
    network: nn.Sequential,
    inputs: Tensor,
    targets: Tensor,
    epochs: int,
    learning_rate: float,
    threads: int,
) -> Tensor:
    samples, layers = len(inputs), [m for m in network if isinstance(m, nn.Linear)]
    padded = [-(-layer.out_features // PADDED_TO) * PADDED_TO for layer in layers]
    widths = [inputs.shape[1], *padded]
    state = torch.zeros(4, sum((i + 1) * o for i, o in pairwise(widths)))
    room = torch.zeros(sum((2 * samples + i) * o for i, o in pairwise(widths)) + samples)
    weights, gradients = (list(_stored(flat, widths, layers)) for flat in state[:2])
    for parameter, weight in zip(network.parameters(), weights, strict=True):
        weight.copy_(parameter.detach())
    inputs, targets, losses = inputs.contiguous(), targets.contiguous(), torch.empty(epochs)
    shape = (len(layers), (ctypes.c_long * len(widths))(*widths), samples, targets.shape[1])
    buffers = [tensor.data_ptr() for tensor in (inputs, targets, *state, room)]
    for done in range(0, epochs, EPOCHS_PER_CALL):
        part = losses[done : done + EPOCHS_PER_CALL]
        routine(*shape, *buffers, part.data_ptr(), len(part), done, learning_rate, threads)
    for parameter, weight, gradient in zip(network.parameters(), weights, gradients, strict=True):
        parameter.data.copy_(weight)
        parameter.grad = gradient.clone()
    return losses


def _stored(flat: Tensor, widths: Sequence[int], layers: Sequence[nn.Linear]) -> Iterator[Tensor]:
    """Yield the parts of a flat vector that hold each layer's weight and bias, as nn.Linear does."""
    blocks = flat.split([(i + 1) * o for i, o in pairwise(widths)])
    for block, width, layer in zip(blocks, widths[1:], layers, strict=True):
        rows = block.view(-1, width)  # the transposed weight, then the bias
        # Padding is on the right of both, and at the bottom of the weight.
        yield rows[: layer.in_features, : layer.out_features].t()
        yield rows[-1, : layer.out_features]


@functools.cache
def _compiled() -> Callable[..., None] | None:
    """Return the C function `train`, or None if it cannot be compiled and loaded here."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    flags = f"{FLAGS} {VECTOR_FLAGS.get(torch.backends.cpu.get_cpu_capability(), '')}".split()
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            library = Path(folder) / "full_batch.so"
            command = [*compiler, *flags, str(SOURCE), "-o", str(library), "-lm"]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            train = ctypes.CDLL(str(library)).train
    except (OSError, subprocess.SubprocessError) as error:
        logging.getLogger(__name__).warning(
            "full_batch.c could not be compiled (%s); training with PyTorch, several times slower. "
            "Install a C compiler, or name one in CC",
            error,
        )
        return None
    long, pointer = ctypes.c_long, ctypes.c_void_p
    shape = [long, ctypes.POINTER(long), long, long]
    train.argtypes = [*shape, *[pointer] * 8, long, long, ctypes.c_double, long]
    train.restype = None
    return train
