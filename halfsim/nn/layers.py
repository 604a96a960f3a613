"""Containers of layers."""

from __future__ import annotations

from typing import Any

from halfsim.nn.module import Module


class Sequential(Module):
    """Modules applied one after another; their names are "0", "1", ...

    >>> from halfsim.nn.activation import ReLU
    >>> Sequential(ReLU(), ReLU())
    Sequential(
      (0): ReLU()
      (1): ReLU()
    )
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__()
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise TypeError(f"modules: {type(module).__name__} is not allowed; allowed: Module")
            setattr(self, str(i), module)

    def forward(self, x: Any) -> Any:
        for module in self.children():
            x = module(x)
        return x

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, index: int) -> Module:
        return list(self.children())[index]
