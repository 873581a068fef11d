import torch

from understudy.learn.adamw import AdamW


def test_it_equals_torchs_fused_adamw_bit_for_bit():
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(40, generator=generator)
    ours, gradients = start.clone(), torch.zeros(40)
    optimiser = AdamW(ours, gradients, decayed=30, weight_decay=0.1)
    heavy, light = start[:30].clone(), start[30:].clone()
    theirs = torch.optim.AdamW(
        [{"params": [heavy], "weight_decay": 0.1}, {"params": [light], "weight_decay": 0.0}],
        fused=True,
    )
    for step in range(20):
        gradients.copy_(torch.randn(40, generator=generator))
        heavy.grad, light.grad = gradients[:30].clone(), gradients[30:].clone()
        for group in theirs.param_groups:
            group["lr"] = 0.01 / (step + 1)
        theirs.step()
        optimiser.update(step, 0.01 / (step + 1))
    assert torch.equal(ours, torch.cat([heavy, light]))
