"""What PyTorch has in ``torch.nn.utils``: clipping, parameters as a vector, packed sequences, parametrizations."""

from halfsim.names import public as _public
from halfsim.nn.utils import parametrizations, parametrize, rnn
from halfsim.nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm
from halfsim.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters
from halfsim.nn.utils.hooked import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm
from halfsim.nn.utils.init import skip_init

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "skip_init",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]

_public(__name__)
