"""Record logs of PyTorch's DebugMode in debug_mode.txt: ``python -m tests.recorded.record_debug_mode``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("debug_mode.txt")
BETWEEN = "\n======\n"  # the logs


def trained(torch: Any, steps: int = 2, flip: bool = False) -> Any:
    """A function that trains a small model, one weight of which may have another last bit."""
    torch.manual_seed(0)
    nn = torch.nn
    model = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.ReLU(), nn.Linear(3, 2))
    if flip:
        with torch.no_grad():
            model[3].weight.view(torch.int32)[0, 1] ^= 1
    optimizer = torch.optim.Adam(model.parameters())
    x, y = torch.randn(5, 4), torch.randint(0, 2, (5,))

    def train() -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()

    return train


def logged(torch: Any, hashes: Any, flip: bool = False, **options: Any) -> str:
    """The log of a training, without the folders that it ran in."""
    from torch.utils._debug_mode import DebugMode

    train = trained(torch, flip=flip)
    with DebugMode(record_nn_module=True, **options) as mode:
        if hashes is None:
            train()
        else:
            with DebugMode.log_tensor_hashes(hashes):
                train()
    return re.sub(r"# File: .*?([^/\\]+:\d+ in \w+), code: .*", r"# File: \1, code: ...", mode.debug_string())


def logs(torch: Any) -> list[str]:
    """With norms; with both hashes and lines of code; the same, one weight with another last bit; without hashes."""
    both = ["norm", "hash_tensor"]
    return [
        logged(torch, "norm"),
        logged(torch, both, record_stack_trace=True),
        logged(torch, both, flip=True, record_stack_trace=True),
        logged(torch, None, record_ids=True),
    ]


if __name__ == "__main__":
    import torch

    FILE.write_text(BETWEEN.join(logs(torch)))
