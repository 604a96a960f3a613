"""The spectrogram of 16-bit sound: the transform adds 256 samples of up to 32,767 and is infinite in half.

The transform is written as two products with cosines and sines. With sound from -1 to 1 the power of a loud tone
passes 65,504 from n_fft = 1024 on.
"""

import numpy as np

import halfsim as hs
from halfsim.gallery.case import Case, flat


def bands(tensor):
    t, n = np.arange(4096), np.arange(256)
    sound = np.round(12_001 * np.sin(0.3 * t) + 3_001 * np.sin(1.1 * t))  # 16-bit, as the file holds it
    turn, window = 2 * np.pi * np.outer(n, n[:128]) / 256, np.hanning(256)[:, None]
    frames = tensor(sound.reshape(16, 256))
    power = (frames @ tensor(window * np.cos(turn))) ** 2 + (frames @ tensor(window * np.sin(turn))) ** 2
    band = power.reshape(16, 4, 32).mean(-1).mean(0)
    return band / band.sum()  # the share of each of four bands


def run():
    return bands(hs.tensor)


CASE = Case(
    id="N30",
    name="spectrogram",
    link="https://github.com/LIHANG-HONG/birdclef2023-2nd-place-solution/issues/2",
    year=2024,
    layer="MelSpectrogram, STFT",
    seen="NaN",
    klass="overflow",
    op=("matmul", "pow"),
    phase="forward",
    precision="fp16",
    run=run,
    broken=lambda share: bool(np.isnan(flat(share)).any()),
    right=lambda: bands(np.asarray),
    facts=lambda: {"loud": 15_002.0, "most": 128 * 12_001.0 / 2},
    title="A spectrogram in half precision is infinite",
    title_zh="半精度的频谱图是无穷大",
    symptom="MelSpectrogram is inf or NaN under half or autocast",
    symptom_zh="半精度或 autocast 下 MelSpectrogram 为 inf 或 NaN",
    message="MelSpectrogram inf fp16; torchaudio autocast nan",
    why="The samples go up to {loud:,.0f}, as a sound file has them. A transform adds many of them: a tone alone "
    "comes to some {most:,.0f}, and the power is the square of that; float16 ends at {fp16.max:,.0f}. Scale the "
    "sound to the range from minus one to one first, or keep the whole transform in float32, where the first band "
    "has {fixed[0]:.1%} of the power.",
    why_zh="采样值最大约 {loud:,.0f}，声音文件里就是这样。变换要把许多采样加起来：单是一个纯音就有 {most:,.0f} 左右"
    "，功率还要再平方；float16 到 {fp16.max:,.0f} 为止。先把声音缩放到正负一之间，或者把整个变换留在 float32：第一"
    "个频带占 {fixed[0]:.1%} 的功率。",
)
