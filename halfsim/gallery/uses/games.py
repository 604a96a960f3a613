"""Games and physics: positions far from the origin, clocks, rotations, depth buffers, terrain, springs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from halfsim.autograd import ops
from halfsim.autograd.making import tensor
from halfsim.autograd.scope import precision
from halfsim.autograd.tensor import Tensor
from halfsim.gallery.said import Said
from halfsim.gallery.uses.cases import Case, Fix, measured, under
from halfsim.gallery.uses.measures import RELATIVE, SNR, Array, at, off
from halfsim.gallery.uses.pictures import Picture, grey
from halfsim.gallery.uses.result import Application
from halfsim.gallery.uses.sources import TERRAIN, elevations

TITLE = Said("Games and physics: far from the origin, late in the day", "游戏与物理：离原点很远、运行很久之后")
_FPS = 60
_TWO = ("fp16", "bf16")  # where single operations follow one another, pure_fp16 is the same as fp16
_CHUNK = 16.0  # metres
_NEAR = 0.1  # metres: of what is drawn
_METRES = Said("m", "米")


def _each_second(frames: int, step: Tensor) -> Tensor:
    """What a sum of ``step`` at each frame is after each second."""
    x, out = tensor(0.0), []
    for frame in range(1, frames + 1):
        x = x + step
        if frame % _FPS == 0:
            out.append(x)
    return ops.stack(out)


def walk(frames: int) -> Tensor:
    """Where a walker of 5 m/s is after each second: x += v * dt, 60 times a second."""
    return _each_second(frames, tensor(5.0) * tensor(1 / _FPS))


def walk_in_squares(frames: int) -> Array:
    """The same, with the world cut into squares of 16 m: an integer says which, a half the place inside.

    What each addition loses is kept and given to the next (Kahan 1965).
    """
    x, lost, square, out = tensor(0.0), tensor(0.0), 0, []
    step, width = tensor(5.0) * tensor(1 / _FPS), tensor(_CHUNK)
    for frame in range(1, frames + 1):
        due = step - lost
        moved = x + due
        lost, x = (moved - x) - due, moved
        if float(x.numpy()) >= _CHUNK:
            x, square = x - width, square + 1
        if frame % _FPS == 0:
            out.append(square * _CHUNK + float(x.numpy()))
    return np.array(out)


def clock(frames: int) -> Tensor:
    """What a clock shows after each second: t += 1 / 60."""
    return _each_second(frames, tensor(1 / _FPS))


def clock_in_seconds(frames: int) -> Array:
    """The same with the frames counted by an integer: whole seconds, and frames in the second times 1 / 60 in half."""
    step = tensor(1 / _FPS)
    return np.array([
        n // _FPS + float((tensor(float(n % _FPS)) * step).numpy()) for n in range(_FPS, frames + 1, _FPS)
    ])  # fmt: skip


def _stuck(en: str, zh: str) -> Callable[[Array, Array], Said]:
    """Where a value that should grow stands still, or how far off it is at the end."""

    def where(out: Array, right: Array) -> Said:
        moved = np.flatnonzero(np.diff(out))
        last = int(moved[-1]) + 2 if len(moved) else 1
        if last < len(out):
            return Said(f"stands still at {out[-1]:g} {en}, from second {last:,} on",
                        f"从第 {last:,} 秒起停在 {out[-1]:g} {zh}")  # fmt: skip
        return Said(f"after {len(out):,} s it says {out[-1]:g} {en} in place of {right[-1]:g} {en}",
                    f"{len(out):,} 秒后为 {out[-1]:g} {zh}，应为 {right[-1]:g} {zh}")  # fmt: skip

    return where


def _turn() -> Array:
    angle = np.radians(0.5)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def wheel(frames: int) -> Tensor:
    """A rim's point, 1 m from the axis, after each second: a matrix turned by half a degree every frame."""
    turn, now, out = tensor(_turn()), tensor(np.eye(2)), []
    for frame in range(1, frames + 1):
        now = turn @ now
        if frame % _FPS == 0:
            out.append(now[:, 0])
    return ops.stack(out)


def wheel_by_angle(frames: int) -> Tensor:
    """The same: frames are counted, the angle made of them less whole turns, and the matrix of the angle."""
    frame = np.arange(_FPS, frames + 1, _FPS) % 720
    angle = tensor(frame.astype(np.float64)) * tensor(np.pi / 360)
    return ops.stack([ops.cos(angle), ops.sin(angle)], 1)


def _rotations(count: int) -> Array:
    """Joints of an arm: 4 x 4 matrices, each a turn about an axis and a bone of 0.3 m."""
    rng = np.random.default_rng(0)
    axes = rng.normal(size=(count, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    x, y, z = axes.T
    zero = np.zeros(count)
    cross = np.array([[zero, -z, y], [z, zero, -x], [-y, x, zero]]).transpose(2, 0, 1)
    angle = rng.uniform(-0.5, 0.5, (count, 1, 1))
    out = np.tile(np.eye(4), (count, 1, 1))
    out[:, :3, :3] += np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    out[:, 0, 3] = 0.3
    return out


def arm(joints: int) -> Tensor:
    """Where a chain of bones ends, one after another: the product of their matrices."""
    now = tensor(np.eye(4))
    out = []
    for joint in _rotations(joints):
        now = now @ tensor(joint)
        out.append(now[:3, 3])
    return ops.stack(out)


def spring(frames: int, rest: float = 0.0) -> Tensor:
    """The swing of a mass on a spring of 1 Hz, by semi-implicit Euler at 240 Hz; it hangs at ``rest`` metres."""
    k, dt = tensor((2 * np.pi) ** 2), tensor(1 / 240)
    home = tensor(rest)
    x, v, out = tensor(rest + 1.0), tensor(0.0), []
    for frame in range(1, frames + 1):
        v = v - k * (x - home) * dt
        x = x + v * dt
        if frame % 4 == 0:
            out.append(x - home)
    return ops.stack(out)


def _distances(count: int) -> Array:
    return np.geomspace(0.2, 9000, count)


def depth(metres: Array, reversed_: bool, far: float = 10_000.0) -> Tensor:
    """What a depth buffer holds: computed in float32 as a shader does, stored in the arithmetic's format.

    From 0 at the near plane (0.1 m) to 1 at the far one, or reversed, from 1 to 0.
    """
    with precision("fp32"):
        d = tensor(metres)
        ratio = tensor(_NEAR) / d
        z = (ratio - _NEAR / far) * (far / (far - _NEAR)) if reversed_ else (1.0 - ratio) * (far / (far - _NEAR))
    return z * 1.0  # stored


def reach(reversed_: bool, apart: float, count: int = 4000) -> float:
    """Up to how many metres two surfaces, the farther ``apart`` of the distance behind, are never drawn alike."""
    metres = _distances(count)
    here, there = (depth(d, reversed_).numpy().astype(np.float64) for d in (metres, metres * (1 + apart)))
    alike = here == there
    return float(metres[int(np.argmax(alike))]) if alike.any() else float(metres[-1])


def _refined(heights: Array) -> Array:
    """Heights between the grid's, four to each, bilinear: float64, as tools make them in advance."""
    for axis in (0, 1):
        n = heights.shape[axis]
        at_ = np.arange((n - 1) * 4 + 1) / 4
        low = np.minimum(at_.astype(int), n - 2)
        part = np.expand_dims(at_ - low, 1 - axis)
        heights = np.take(heights, low, axis) * (1 - part) + np.take(heights, low + 1, axis) * part
    return heights


_TILE = 64


def slopes(heights: Array) -> Tensor:
    """Differences of neighbouring heights, of which light is made."""
    x = tensor(heights)
    return x[:, 1:] - x[:, :-1]


def slopes_of_tiles(heights: Array) -> Tensor:
    """The same of heights above the lowest of a tile of 64 x 64, which an integer holds."""
    tall, wide = (n // _TILE * _TILE for n in heights.shape)
    tiles = heights[:tall, :wide].reshape(tall // _TILE, _TILE, wide // _TILE, _TILE)
    base = np.floor(tiles.min(axis=(1, 3), keepdims=True))
    x = tensor((tiles - base).reshape(tall, wide))
    step = np.diff(np.broadcast_to(base, tiles.shape).reshape(tall, wide), axis=1)
    return x[:, 1:] - x[:, :-1] + tensor(step)


def cases(frames: int, heights: Array) -> Iterator[Case]:
    """The operations; ``frames`` is how long a game runs."""
    minutes = frames // _FPS / 60
    long = Said(f"{minutes:g} min", f"{minutes:g} 分钟")
    yield Case(
        Said(f"walking at 5 m/s, {long.en}: x += v * dt", f"以 5 米/秒行走 {long.zh}：x += v * dt"), partial(walk, frames),
        off("m", "米"), 1.0,
        (Fix(Said("squares of 16 m counted by an integer, Kahan's sum inside", "用整数记录 16 米方格，方格内用 Kahan 求和"), partial(walk_in_squares, frames)),
                            Fix(Said("in float32", "用 float32"), precision="fp32")), _stuck("m", "米"), _TWO,
    )  # fmt: skip
    yield Case(
        Said(f"a clock, {long.en}: t += 1 / 60", f"时钟，{long.zh}：t += 1 / 60"), partial(clock, frames),
        off("s", "秒"), 0.02, (Fix(Said("frames counted by an integer", "用整数数帧"), partial(clock_in_seconds, frames)),),
        _stuck("s", "秒"), _TWO,
    )  # fmt: skip
    yield Case(
        Said(f"a wheel, {long.en}: its matrix turned every frame", f"车轮，{long.zh}：每帧旋转矩阵"), partial(wheel, frames),
        off("m", "米"), 0.02, (Fix(Said("the matrix of a counted angle", "由计数的角度求矩阵"), partial(wheel_by_angle, frames)),
                             Fix(Said("in float32", "用 float32"), precision="fp32")), _grown,
    )  # fmt: skip
    yield Case(Said("an arm of 24 bones of 0.3 m: matrices in a chain", "24 节 0.3 米骨骼的手臂：矩阵连乘"), partial(arm, 24),
               off("m", "米"), 0.05, (Fix(Said("in float32", "用 float32"), precision="fp32"),))  # fmt: skip
    swing = min(frames, 2400)
    yield Case(Said("a spring of 1 Hz, swinging 1 m about the origin", "1 Hz 弹簧，在原点附近摆动 1 米"), partial(spring, swing), RELATIVE, 0.2,
               (Fix(Said("in float32", "用 float32"), precision="fp32"),), precisions=_TWO)  # fmt: skip
    yield Case(
        Said("the same spring, 500 m from the origin", "同一弹簧，离原点 500 米"), partial(spring, swing, 500.0), RELATIVE, 0.2,
        (Fix(Said("coordinates from where it hangs", "以悬挂点为原点"), partial(spring, swing)),
         Fix(Said("in float32", "用 float32"), precision="fp32")), precisions=_TWO,
    )  # fmt: skip
    alone = at("apart up to", "可分辨至", _METRES)
    for apart in (0.01, 0.05):
        yield Case(
            Said(f"depth buffer: surfaces {apart * 100:g} % apart", f"深度缓冲：相距 {apart * 100:g} % 的表面"), partial(reach, False, apart), alone,
            100.0, (Fix(Said("reversed z", "反转 z"), partial(reach, True, apart)),), precisions=_TWO,
            where=lambda out, right: Said(f"surfaces fight from {float(out):.3g} m on", f"{float(out):.3g} 米起表面相互闪烁"),
        )  # fmt: skip
    yield Case(
        Said("terrain: slopes of heights, refined fourfold", "地形：细分四倍后的坡度"), partial(slopes, heights), SNR, 30.0,
        (Fix(Said("heights above each tile's lowest", "以每块最低点为基准的高度"), partial(slopes_of_tiles, heights)),
         Fix(Said("in float32", "用 float32"), precision="fp32")), precisions=_TWO,
    )  # fmt: skip


def _grown(out: Array, right: Array) -> Said:
    size = float(np.hypot(*out[-1]))
    return Said(f"at the end the wheel is {size:.3g} times as large", f"最后车轮变为原来的 {size:.3g} 倍")


def pictures(heights: Array) -> tuple[Picture, ...]:
    """Terrain lit from the west, and a stripe on a road that is drawn by its depth."""
    part = heights[512:640, 1056:1248] if len(heights) > 640 else heights[:128, :192]  # the flattest of it
    lit = [np.kron(grey(under(p, run)[:96, :127], -1.5, 1.5), np.ones((2, 2, 1), np.uint8)) for p, run in
           (("fp64", partial(slopes, part)), ("fp16", partial(slopes, part)), ("bf16", partial(slopes, part)),
            ("fp16", partial(slopes_of_tiles, part)))]  # fmt: skip
    words = (Said("float64", "float64"), Said("float16", "float16"), Said("bfloat16", "bfloat16"),
             Said("float16, tiles", "float16，分块"))  # fmt: skip
    terrain = Picture(
        "terrain", Said("Flat ground at 320 to 400 m, lit from the west: bfloat16 has steps of 2 m there, and the ground is terraces; "
                        "float16 has steps of 0.25 m.",
                        "海拔 320 至 400 米的平地，西侧光照：bfloat16 在此的步长为 2 米，地面变成梯田；float16 的步长为 0.25 米。"),
        tuple(zip(words, lit, strict=True)),
    )  # fmt: skip
    shown = [_road(words, back) for words, back in (("fp32", False), ("fp16", False), ("fp16", True))]
    names = Said("float32", "float32"), Said("float16", "float16"), Said("float16, reversed z", "float16，反转 z")
    road = Picture("depth", Said("A road whose white stripe lies 1 cm above it, seen from 1.5 m: where both have one depth, the road wins.",
                                 "路面白线高出路面 1 厘米，从 1.5 米高处看：深度相同处路面获胜。"),
                   tuple(zip(names, shown, strict=True)))  # fmt: skip
    return terrain, road


def _road(words: str, reversed_: bool) -> Array:
    """A road seen from above, a column in the middle painted where its depth is nearer than the road's."""
    tall, wide = 160, 240
    down = (np.arange(tall) + 0.5) / tall * 0.6 + 0.01  # slope of the ray: its tangent below the horizon
    road, stripe = 1.5 / down, 1.49 / down
    with precision(words):
        depths = [depth(x, reversed_).numpy().astype(np.float64) for x in (road, stripe)]
    nearer = depths[1] > depths[0] if reversed_ else depths[1] < depths[0]
    across = np.abs(np.arange(wide) - wide / 2)[None, :] * road[:, None] / 90
    pixels = np.where((np.floor(np.log2(road)) % 2 == 0)[:, None], 70.0, 100.0) * np.ones((1, wide))
    pixels = np.where(across > 4, 140.0, pixels)
    return grey(np.where((across < 0.8) & nearer[:, None], 255.0, pixels), 0, 255)


def application(small: bool, lang: str) -> Application:
    """Measured over a game of five minutes, or with ``small`` of one on less terrain."""
    frames = 1_200 if small else 18_000
    tall, wide = (64, 96) if small else (256, 320)
    heights = _refined(elevations()[: tall + 1, : wide + 1])[:-1, :-1]
    rows = measured(cases(frames, heights))
    walker = next(r for r in rows if r.precision == "fp16")
    near, far = (next(r for r in rows if r.operation.en.startswith("depth buffer") and r.precision == p) for p in _TWO)
    summary = Said(
        f"Walking in fp16 {walker.where.en or 'is exact enough'}; a depth buffer tells surfaces 1 % apart up to "
        f"{near.value:.3g} m (bf16: {far.value:.3g} m), reversed up to {near.fixed or 0:,.0f} m. Integers for what is large and "
        "halves for what is near mend nearly all of it.",
        f"fp16 下行走：{walker.where.zh or '足够精确'}；深度缓冲能分辨相距 1 % 的表面至 {near.value:.3g} 米（bf16：{far.value:.3g} 米），"
        f"反转后至 {near.fixed or 0:,.0f} 米。大的部分用整数、近处用半精度，几乎都能补救。",
    )
    return Application("games", TITLE, summary, rows, (), pictures(heights), (TERRAIN,), lang=lang)
