"""Calls that work, of names for which chance finds none, or slow ones alone."""

from __future__ import annotations

import ast

from tests.hostile.names import Target

_X3, _Y3 = "hs.tensor(np.arange(24.0).reshape(2, 3, 4) / 8)", "hs.tensor(np.arange(24.0).reshape(2, 4, 3) / 8)"
_IMAGE, _KERNEL = "hs.tensor(np.arange(32.0).reshape(1, 2, 4, 4) / 16)", "hs.tensor(np.ones((2, 2, 3, 3)))"
_VOLUME = "hs.tensor(np.arange(64.0).reshape(1, 2, 2, 4, 4) / 64)"
_V, _M = "hs.tensor([0.5, 0.25, 0.75])", "hs.tensor(np.eye(3) * 2 + 0.5)"
_SEQUENCE, _CELL = "hs.tensor(np.ones((4, 2, 3)))", "hs.tensor(np.ones((2, 3)))"
_RNN = "[hs.tensor(np.ones(({0}, 3))), hs.tensor(np.ones(({0}, 3))), hs.tensor(np.ones({0})), hs.tensor(np.ones({0}))]"
_SCALAR = "made.parameter().sum()"

CALLS = f"""
hs.ops.addbmm({_M}, hs.tensor(np.ones((2, 3, 4))), hs.tensor(np.ones((2, 4, 3))))
hs.ops.baddbmm(hs.tensor(np.ones((2, 3, 3))), {_X3}, {_Y3})
hs.ops.bmm({_X3}, {_Y3})
hs.ops.addmv({_V}, {_M}, {_V})
hs.ops.addr({_M}, {_V}, {_V})
hs.ops.bilinear({_V}, {_V}, hs.tensor(np.ones((2, 3, 3))))
hs.ops.clamp({_V}, 0.0, 0.5)
hs.ops.clip({_V}, 0.0, 0.5)
Tensor.polygamma(1)
hs.ops.put({_V}, hs.tensor([0, 1]), hs.tensor([0.5, 0.25]))
hs.ops.scatter({_V}, 0, hs.tensor([0, 1]), hs.tensor([0.5, 0.25]))
hs.ops.index_copy({_M}, 0, hs.tensor([0, 1]), hs.tensor(np.ones((2, 3))))
hs.ops.index_reduce({_M}, 0, hs.tensor([0, 1]), hs.tensor(np.ones((2, 3))), "prod")
hs.ops.masked_scatter({_V}, hs.tensor([True, False, True]), {_V})
hs.ops.narrow_copy({_M}, 0, 1, 2)
hs.ops.bitwise_left_shift(hs.tensor([0, 1, 2]), 1)
hs.ops.affine_grid(hs.tensor(np.ones((1, 2, 3))), (1, 2, 4, 4))
hs.ops.grid_sample({_IMAGE}, hs.tensor(np.zeros((1, 3, 3, 2))))
hs.ops.grid_sampler_2d({_IMAGE}, hs.tensor(np.zeros((1, 3, 3, 2))), 0, 0, False)
hs.ops.grid_sampler_3d({_VOLUME}, hs.tensor(np.zeros((1, 2, 3, 3, 3))), 0, 0, False)
hs.ops.as_strided_copy({_M}, (2, 2), (1, 2))
hs.ops.conv1d({_X3}, hs.tensor(np.ones((2, 3, 2))))
hs.ops.conv2d({_IMAGE}, {_KERNEL}, hs.tensor([0.5, 0.25]))
hs.ops.conv3d({_VOLUME}, hs.tensor(np.ones((2, 2, 1, 2, 2))))
hs.ops.conv_transpose1d({_X3}, hs.tensor(np.ones((3, 2, 2))))
hs.ops.conv_transpose2d({_IMAGE}, {_KERNEL})
hs.ops.conv_transpose3d({_VOLUME}, hs.tensor(np.ones((2, 2, 1, 2, 2))))
hs.ops.ctc_loss(hs.tensor(np.full((5, 1, 3), -1.1)), hs.tensor([[1, 2]]), (5,), (2,))
hs.ops.fold(hs.tensor(np.ones((1, 8, 9))), (4, 4), 2)
hs.ops.fractional_max_pool2d({_IMAGE}, 2, 2)
hs.ops.fractional_max_pool3d({_VOLUME}, (1, 2, 2), (1, 2, 2))
hs.ops.max_unpool2d({_IMAGE}, hs.tensor(np.arange(32).reshape(1, 2, 4, 4)), 2)
hs.ops.max_unpool3d({_VOLUME}, hs.tensor(np.arange(64).reshape(1, 2, 2, 4, 4)), 2)
hs.ops.interpolate({_IMAGE}, scale_factor=2)
hs.ops.upsample({_IMAGE}, scale_factor=2)
hs.ops.upsample_bilinear({_IMAGE}, scale_factor=2)
hs.ops.upsample_nearest({_IMAGE}, scale_factor=2)
hs.ops.lstm({_SEQUENCE}, hs.tensor(np.ones((12, 3))), hs.tensor(np.ones((12, 3))))
hs.ops.gru({_SEQUENCE}, hs.tensor(np.ones((9, 3))), hs.tensor(np.ones((9, 3))))
hs.ops.rnn_tanh({_SEQUENCE}, {_M}, {_M})
hs.ops.rnn_relu({_SEQUENCE}, {_M}, {_M})
hs.ops.lstm_cell({_CELL}, ({_CELL}, {_CELL}), hs.tensor(np.ones((12, 3))), hs.tensor(np.ones((12, 3))))
hs.ops.gru_cell({_CELL}, {_CELL}, hs.tensor(np.ones((9, 3))), hs.tensor(np.ones((9, 3))))
hs.ops.rnn_tanh_cell({_CELL}, {_CELL}, {_M}, {_M})
hs.ops.rnn_relu_cell({_CELL}, {_CELL}, {_M}, {_M})
hs.ops.permute_copy({_M}, (1, 0))
hs.ops.transpose_copy({_M}, 0, 1)
hs.ops.unfold_copy({_M}, 0, 2, 1)
hs.ops.unsqueeze_copy({_M}, 0)
hs.ops.randint(0, 5, (3,))
hs.ops.randint(5, (3,))
hs.ops.scaled_dot_product_attention({_X3}, {_X3}, {_X3})
hs.ops.flash_attention({_X3}, {_X3}, {_X3})
hs.ops.einsum('ij,jk->ik', {_M}, {_M})
hs.ops.setitem({_V}, 1.0, 0)
hs.autograd.backward({_SCALAR})
hs.autograd.grad((lambda p: (p * p).sum())(made.parameter()), [made.parameter()], allow_unused=True)
hs.distributions.Bernoulli(0.5)
hs.distributions.Categorical(hs.tensor([0.5, 0.25, 0.25]))
hs.distributions.OneHotCategorical(hs.tensor([0.5, 0.25, 0.25]))
hs.distributions.Independent(hs.distributions.Normal(hs.tensor([0.0, 1.0]), 1.0), 1)
hs.distributions.kl_divergence(hs.distributions.Normal(0.0, 1.0), hs.distributions.Normal(1.0, 2.0))
hs.hardware.device('A100')
hs.hardware.compare(np.ones((4, 4)), np.ones((4, 4)), devices=['A100', 'V100'])
hs.hardware.matmul(hs.hardware.device('A100').unit('fp16'), np.ones((4, 4)), np.ones((4, 4)))
hs.ieee.convert(np.uint16([15360]), 'float16', 'float32')
hs.ieee.fma(np.uint16([15360]), np.uint16([15360]), np.uint16([15360]))
hs.loss_scale_range(made.step)
hs.minimize(lambda x: hs.tensor(x, 'fp16') * 6e4, np.full(4, 3.0))
hs.search_policy(made.step, target='fp16', fallback='fp32', accept=lambda *x: True)
hs.set_rng_state(hs.get_rng_state())
hs.significant_digits(made.step, 'fp16', runs=2)
hs.save(made.model().state_dict(), 'out.npz')
hs.load(made.saved())
hs.checkpoint.load(made.saved())
hs.checkpoint.load_weights(made.saved())
hs.nn.LSTM(3, 3)
hs.nn.GRU(3, 3)
hs.nn.RNNBase('lstm', 3, 3)
hs.nn.RNNCellBase('gru', 3, 3, True)
hs.nn.AdaptiveLogSoftmaxWithLoss(8, 5, [2], div_value=2.0)
hs.nn.FractionalMaxPool2d(2, output_size=2)
hs.nn.FractionalMaxPool3d(2, output_size=1)
hs.nn.MultiheadAttention(4, 2)
hs.nn.TransformerEncoderLayer(4, 2, 8)
hs.nn.TransformerDecoderLayer(4, 2, 8)
hs.nn.TransformerEncoder(hs.nn.TransformerEncoderLayer(4, 2, 8), 1)
hs.nn.TransformerDecoder(hs.nn.TransformerDecoderLayer(4, 2, 8), 1)
hs.nn.Transformer(4, 2, 1, 1, 8)
hs.nn.utils.skip_init(hs.nn.Linear, 3, 2)
hs.nn.utils.remove_spectral_norm(hs.nn.utils.spectral_norm(hs.nn.Linear(3, 2)))
hs.nn.utils.remove_weight_norm(hs.nn.utils.weight_norm(hs.nn.Linear(3, 2)))
hs.nn.utils.rnn.pad_packed_sequence(made.packed())
hs.nn.utils.rnn.unpack_sequence(made.packed())
hs.optim.Muon([hs.nn.Parameter(hs.tensor(np.ones((2, 3))))])
hs.optim.lr_scheduler.OneCycleLR(made.optimizer(), 0.1, total_steps=10)
hs.optim.lr_scheduler.SequentialLR(made.optimizer(), [hs.optim.lr_scheduler.StepLR(made.optimizer(), 2)], [])
hs.plot.errors(made.referenced())
hs.plot.heatmap(made.trace())
np.apply_along_axis(np.sum, 0, {_M})
np.cov({_M})
np.einsum('ij,jk->ik', {_M}, {_M})
np.fliplr({_M})
np.flipud({_M})
np.polyval([1.0, 2.0], {_V})
np.polyder({_V})
np.polyint({_V})
np.rot90({_M})
np.tril({_M})
np.triu({_M})
Format.contains(hs.float32)
Module.assign({{}})
Module.extend([hs.nn.ReLU()])
Module.get_parameter('0.weight')
Module.get_submodule('0')
Optimizer.add_param_group({{'params': [made.parameter()]}})
Optimizer.load_state_dict(made.optimizer().state_dict())
Generator.set_state(hs.Generator().get_state())
Tensor.__format__('')
Tensor.backward(hs.tensor(np.ones((3, 3))))
Tensor.new_tensor([1.0, 2.0])
Tensor.in_place('mul', 2.0)
Report.from_json('{{}}')
"""


def recipes(targets: list[Target]) -> dict[str, list[dict[str, str]]]:
    """The arguments of these calls by parameter, by name; those of a tensor's method follow the operation's."""
    known = {t.name: t for t in targets}
    found: dict[str, list[dict[str, str]]] = {}
    for line in filter(None, CALLS.splitlines()):
        call = ast.parse(line, mode="eval").body
        assert isinstance(call, ast.Call)
        name, given = ast.unparse(call.func), [ast.unparse(a) for a in call.args]
        keywords = {k.arg or "": ast.unparse(k.value) for k in call.keywords}
        if name in known:
            found.setdefault(name, []).append({**_bound(known[name], given), **keywords})
        method = f"Tensor.{name.removeprefix('hs.ops.')}"
        for told in (method, f"{method}_") if name.startswith("hs.ops.") else ():
            if told in known:
                found.setdefault(told, []).append({"self": given[0], **_bound(known[told], given[1:]), **keywords})
    return found


def _bound(target: Target, values: list[str]) -> dict[str, str]:
    names = [p for p in target.parameters if p.kind is not p.VAR_KEYWORD]
    spread = next((i for i, p in enumerate(names) if p.kind is p.VAR_POSITIONAL), None)
    if spread is None:
        return {p.name: value for p, value in zip(names, values, strict=False)}
    first = {p.name: value for p, value in zip(names[:spread], values, strict=False)}
    return {**first, names[spread].name: ", ".join(values[spread:])}
