"""Frames warped by a grid from -1 to 1 in half: 3840 pixels wide, the right half is off by whole pixels."""

import numpy as np

import halfsim as hs
from tests.cases.case import Case, flat

WIDTH = 3840


def run():
    flow = np.full(WIDTH, 0.6)  # everything moves by 0.6 of a pixel
    grid = hs.tensor(np.linspace(-1.0, 1.0, WIDTH)) + hs.tensor(flow / ((WIDTH - 1) / 2))
    place = (grid + 1) * ((WIDTH - 1) / 2)  # what grid_sample makes of it
    error = np.abs(place.numpy().astype(float) - np.arange(WIDTH) - flow)
    return [error[:1000].max(), error[2000:].max()]


CASE = Case(
    id="N29",
    name="flow-grid",
    title="A video frame of 3840 pixels is warped wrongly in its right half",
    link="https://github.com/hzwer/ECCV2022-RIFE/issues/188",
    year=2021,
    precision="fp16",
    run=run,
    broken=lambda pixels: bool(flat(pixels)[1] >= 1.0 and flat(pixels)[1] > flat(pixels)[0]),
    right=[0.0, 0.0],
    klass="benign rounding",
    op=(),
    phase="forward",
    missing="grid_sample, interpolate, linspace",
    note="Half a step of the format is 0.5 pixels from 1024 on and one pixel from 2048 on: what the format promises, "
    "and too little for the task. A tolerance in the result's own units would say so. Positions belong in "
    "float32.",
)
