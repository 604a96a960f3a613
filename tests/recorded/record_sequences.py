"""Record sequence layers: python -m tests.recorded.record_sequences (torch 2.13, CPU, float64)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tests.recorded.sequences import CASES, Case, flat, state, wave


def record(case: Case) -> dict[str, np.ndarray]:
    """The outputs of a case, and the gradients of inputs and parameters of the outputs' weighted sum."""
    module = case.build(torch.nn).double()
    weights = state({name: tuple(p.shape) for name, p in module.state_dict().items()})
    module.load_state_dict({name: torch.tensor(values) for name, values in weights.items()})
    arguments, leaves = case.inputs(lambda values: torch.tensor(values, requires_grad=True))
    keywords = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in case.keywords.items()}
    outputs = list(flat(module(*arguments, **keywords)))
    sum((out * torch.tensor(wave(tuple(out.shape), i))).sum() for i, out in enumerate(outputs)).backward()
    found = {f"out.{i}": out for i, out in enumerate(outputs)} | {f"in.{i}": x.grad for i, x in enumerate(leaves)}
    found |= {f"grad.{name}": p.grad for name, p in module.named_parameters()}
    return {name: values.detach().numpy() for name, values in found.items()}


if __name__ == "__main__":
    everything = {f"{name}/{key}": values for name, case in CASES.items() for key, values in record(case).items()}
    np.savez_compressed(Path(__file__).with_name("sequences.npz"), **everything)
