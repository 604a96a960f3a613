"""The spectrogram of 16-bit sound: the transform adds 256 samples of up to 32,767 and is infinite in half."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

N_FFT = 256


def bands(scale, tensor=hs.tensor):
    t = np.arange(16 * N_FFT)
    sound = np.round(12_001 * np.sin(0.3 * t) + 3_001 * np.sin(1.1 * t))  # as the file holds it
    frames = tensor(sound.reshape(-1, N_FFT) * scale)
    turn = 2 * np.pi * np.outer(np.arange(N_FFT), np.arange(N_FFT // 2)) / N_FFT
    window = np.hanning(N_FFT)[:, None]
    power = (frames @ tensor(window * np.cos(turn))) ** 2 + (frames @ tensor(window * np.sin(turn))) ** 2
    band = power.reshape(16, 4, 32).mean(-1).mean(0)
    return band / band.sum()  # the share of each of four bands


CASE = Case(
    id="N30",
    name="spectrogram",
    title="A spectrogram in half precision is infinite",
    link="https://github.com/LIHANG-HONG/birdclef2023-2nd-place-solution/issues/2",
    year=2024,
    precision="fp16",
    run=lambda: bands(1.0),
    broken=lambda share: bool(np.isnan(flat(share)).any()),
    right=bands(1.0, np.asarray),
    klass="overflow",
    op=("matmul", "pow"),
    phase="forward",
    advice="scale",
    fixed=lambda: bands(1 / 32768),
    missing="stft, fft",
    note="The transform is written as two products with cosines and sines. Rounding the samples (integers past 2048) "
    "is harmless. Without the scaling all of its operations must stay in float32. With sound from -1 to 1 the "
    "power of a loud tone passes 65,504 from n_fft = 1024 on.",
)
