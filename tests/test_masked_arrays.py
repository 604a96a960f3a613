"""NumPy's masked arrays are refused by every door that takes arrays: a mask would be lost without a word."""

from __future__ import annotations

import io

import numpy as np
import pytest

import halfsim as hs

M = np.ma.array([[1.0, 2.0], [3.0, 4.0]], mask=[[0, 1], [0, 0]])
V = np.ma.array([1.0, 2.0], mask=[0, 1])
I = np.ma.array([0, 1], mask=[0, 1])  # noqa: E741
X = hs.tensor([1.0, 2.0])
LAYER = hs.nn.Linear(2, 2)
A100 = hs.hardware.device("A100")

DOORS = {
    "encode": lambda: hs.encode(M),
    "decode": lambda: hs.decode(I),
    "round_to": lambda: hs.round_to(M),
    "a list": lambda: hs.round_to([M]),
    "nested lists": lambda: hs.round_to([[[V]]]),
    "the masked constant": lambda: hs.round_to(np.ma.masked),
    "ulp": lambda: hs.ulp(M),
    "ieee.add": lambda: hs.ieee.add(I, 1),
    "ieee.from_int": lambda: hs.ieee.from_int(I),
    "elementary": lambda: hs.elementary.exp(M),
    "tensor": lambda: hs.tensor(M),
    "tensor of lists": lambda: hs.tensor([[V, V]]),
    "as_tensor": lambda: hs.as_tensor(M),
    "from_numpy": lambda: hs.from_numpy(M),
    "an operand": lambda: X + V,
    "ops": lambda: hs.ops.sum(M),
    "NumPy's functions": lambda: np.add(X, V),
    "a condition": lambda: hs.where(V > 0, X, 0.0),
    "an index": lambda: X[I],
    "a mask as an index": lambda: X[V > 1],
    "assignment": lambda: X.clone().__setitem__(slice(None), V),
    "cat": lambda: hs.cat([V, V]),
    "a comparison": lambda: X > V,
    "a gradient": lambda: hs.tensor([1.0, 2.0], requires_grad=True).backward(V),
    "a layer": lambda: LAYER(M),
    "a parameter": lambda: hs.nn.Parameter(M),
    "a buffer": lambda: hs.nn.Linear(2, 2).register_buffer("b", I),
    "labels": lambda: hs.nn.CrossEntropyLoss()(hs.tensor(M.data), I),
    "an embedding": lambda: hs.nn.Embedding(3, 2)(I),
    "a learning rate": lambda: hs.optim.SGD(LAYER.parameters(), lr=np.ma.masked),
    "a device": lambda: A100.matmul(M, M),
    "an addend": lambda: A100.matmul(M.data, M.data, M),
    "cost": lambda: hs.cost(LAYER, M, "A100"),
    "a dataset": lambda: hs.utils.data.TensorDataset(M),
    "a batch": lambda: hs.utils.data.default_collate([V, V]),
    "a distribution": lambda: hs.distributions.Normal(V, 1.0),
    "explain": lambda: hs.explain(np.ma.masked),
    "save": lambda: hs.save({"a": M}, io.BytesIO()),
    "weights": lambda: hs.checkpoint.save_weights("masked.npz", {"a": M}),
    "extra": lambda: hs.checkpoint.save("masked.npz", extra=M),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_masked_array_is_refused_in_one_line(door, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError, match=r"(?i)masked.* not allowed") as refused:
        DOORS[door]()
    assert len(str(refused.value)) <= 300
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_weights_with_a_mask_are_not_loaded():
    before = LAYER.weight.array.copy()
    with pytest.raises(ValueError, match="masked arrays are not allowed"):
        LAYER.load_state_dict({"weight": M, "bias": np.zeros(2)})
    assert np.array_equal(LAYER.weight.array, before)
