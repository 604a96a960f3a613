"""Write weights.safetensors as PyTorch does: ``python -m tests.recorded.record_weights``."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.recorded.settings import CODES

if __name__ == "__main__":
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    model(torch.randn(5, 3))
    tensors = {name: value.clone() for name, value in model.state_dict().items()}
    for name, codes in CODES.items():
        word = {8: torch.uint8, 16: torch.uint16, 32: torch.uint32, 64: torch.uint64}[8 * getattr(torch, name).itemsize]
        tensors[f"special.{name}"] = torch.tensor(codes, dtype=word).view(getattr(torch, name))
    tensors["mask"] = torch.tensor([[True, False]])
    tensors["indices"] = torch.tensor([-(2**63), 2**63 - 1])
    tensors["bytes"] = torch.tensor([0, 255], dtype=torch.uint8)
    tensors["scalar"] = torch.tensor(3.0, dtype=torch.bfloat16)
    tensors["empty"] = torch.zeros(0, 4)
    save_file(tensors, Path(__file__).with_name("weights.safetensors"))
