"""Blocks of image and sound models: squeeze-and-excite, depthwise convolution, transposed convolution."""

from typing import Any

import numpy as np

from .case import Array, Data, Generator, Model, Params, sigmoid


def _se_make(rng: Generator) -> tuple[Params, Data]:
    """A pointwise convolution, the two squeeze-and-excite matrices, a linear readout; labels of -1 and 1."""
    N, C, H, W, R = 5, 4, 3, 3, 2
    return {
        "K": rng.normal(size=(C, C)) * 0.7,
        "kb": rng.normal(size=C) * 0.3,
        "S1": rng.normal(size=(R, C)) * 0.9,
        "s1": rng.normal(size=R) * 0.3 + 0.3,
        "S2": rng.normal(size=(C, R)),
        "s2": rng.normal(size=C) * 0.3,
        "w": rng.normal(size=C),
        "w0": np.array(rng.normal() * 0.3),
    }, (rng.normal(size=(N, C, H, W)), rng.integers(0, 2, N) * 2.0 - 1)


class Block:
    """The block with a cache, as students write it."""

    def forward(self, p: Params, x: Array) -> Any:
        """Keeps everything that the way back may need."""
        self.x = x
        self.z = np.einsum("oc,nchw->nohw", p["K"], x) + p["kb"][None, :, None, None]
        self.a = np.logaddexp(0, self.z)
        self.q = self.a.mean((2, 3))
        self.h = self.q @ p["S1"].T + p["s1"]
        self.hr = np.maximum(self.h, 0)
        self.e = sigmoid(self.hr @ p["S2"].T + p["s2"])
        self.o = x + self.a * self.e[:, :, None, None]
        self.f = self.o.mean((2, 3))
        self.m = self.f @ p["w"] + p["w0"]
        return self.m


def _se_cost(p: Params, x: Array, y: Array) -> Any:
    """Mean logistic loss."""
    return np.logaddexp(0, -y * Block().forward(p, x)).mean()


def _se_grad(p: Params, x: Array, y: Array, bug: str = "") -> Params:
    """Back through the residual block, the gate and the squeeze."""
    s = Block()
    m = s.forward(p, x)
    N, _C, H, W = x.shape
    dm = -y * sigmoid(-y * m) / N
    if bug == "N":
        dm = dm * N
    if bug == "mse":
        dm = (m - y) / N
    g: Params = {}
    g["w"] = s.f.T @ dm
    g["w0"] = dm.sum() if bug != "w0mean" else dm.mean()
    df = np.outer(dm, p["w"])
    do = np.broadcast_to(df[:, :, None, None], x.shape) / (1 if bug == "nohw" else H * W)
    de = (do * s.a).sum((2, 3)) if bug != "de_x" else (do * s.x).sum((2, 3))
    da = do * s.e[:, :, None, None]
    dz2 = de * s.e * (1 - s.e)
    if bug == "sig_skip":
        dz2 = de
    g["S2"] = dz2.T @ (s.h if bug == "h_pre" else s.hr)
    g["s2"] = dz2.sum(0)
    dhr = dz2 @ p["S2"]
    dh = dhr * (s.h > 0)
    if bug == "norelu":
        dh = dhr
    if bug == "leaky":
        dh = np.where(s.h > 0, dhr, 0.1 * dhr)
    g["S1"] = dh.T @ s.q
    g["s1"] = dh.sum(0)
    dq = dh @ p["S1"]
    if bug == "noex":
        dq = dq * 0
    da = da + (dq[:, :, None, None] / (H * W) if bug != "sq_nohw" else dq[:, :, None, None])
    dz = da * sigmoid(s.z) if bug != "sp_a" else da * sigmoid(s.a)
    if bug == "corner":
        dz = dz.copy()
        dz[:, :, -1, -1] = 0
    g["K"] = np.einsum("nohw,nchw->oc", dz, s.x)
    g["kb"] = dz.sum((0, 2, 3))
    if bug == "KT":
        g["K"] = g["K"].T
    if bug == "kb_hw":
        g["kb"] = dz.sum(0).mean((1, 2))
    if bug == "S2none":
        g["S2"] = None
    if bug == "chan":
        g["K"][3] *= -1
    if bug == "el":
        g["S1"][0, 0] *= 1.01
    if bug == "nan":
        g["s2"][1] = np.nan
    return g


SE_BLOCK = Model(
    name="se_block",
    make=_se_make,
    cost=_se_cost,
    grad=_se_grad,
    mistakes={
        "N": "factor upstream",
        "mse": "other-loss upstream",
        "w0mean": "bias-reduction factor",
        "nohw": "factor upstream",
        "de_x": "wrong-cache upstream",
        "sig_skip": "activation-derivative upstream",
        "h_pre": "wrong-cache",
        "norelu": "activation-derivative upstream",
        "leaky": "activation-derivative upstream",
        "noex": "missing-path zero upstream",
        "sq_nohw": "factor missing-path upstream",
        "sp_a": "activation-derivative upstream",
        "corner": "region upstream",
        "KT": "transposed",
        "kb_hw": "bias-reduction factor",
        "S2none": "contract zero",
        "chan": "region sign",
        "el": "factor region",
        "nan": "contract overflow singular",
    },
)


def _dw_make(rng: Generator) -> tuple[Params, Data]:
    """A depthwise kernel, the norm's scale and shift, a readout with a column bias."""
    N, C, H = 4, 4, 5
    return {
        "k": rng.normal(size=(C, 3, 3)) * 0.5,
        "gamma": 1 + 0.3 * rng.normal(size=C),
        "beta": rng.normal(size=C) * 0.3,
        "pw": rng.normal(size=(3, C)) * 0.7,
        "pb": rng.normal(size=(3, 1)) * 0.2,
    }, (rng.normal(size=(N, C, H, H)), rng.normal(size=(N, 3)))


def _dw_fw(p: Params, x: Array) -> Any:
    """Depthwise convolution, GroupNorm of two groups, SiLU, mean square over the image, readout."""
    N, _C, H, W = x.shape
    xp = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    y: Any = 0
    for i in range(3):
        for j in range(3):
            y = y + p["k"][:, i, j][None, :, None, None] * xp[:, :, i : i + H, j : j + W]
    G = y.reshape(N, 2, -1)
    mu = G.mean(-1, keepdims=True)
    iv = 1 / np.sqrt(G.var(-1, keepdims=True) + 1e-3)
    xh = ((G - mu) * iv).reshape(x.shape)
    v = xh * p["gamma"][:, None, None] + p["beta"][:, None, None]
    a = v * sigmoid(v)
    pool = (a**2).mean((2, 3))
    o = (p["pw"] @ pool.T + p["pb"]).T
    return xp, iv, xh, v, a, pool, o


def _dw_cost(p: Params, x: Array, t: Array, weight_decay: float = 0.2) -> Any:
    """Squared error by example, and weight decay of readout and kernel."""
    o = _dw_fw(p, x)[-1]
    return ((o - t) ** 2).sum(1).mean() + weight_decay * ((p["pw"] ** 2).sum() + (p["k"] ** 2).sum()) / 2


def _dw_grad(p: Params, x: Array, t: Array, weight_decay: float = 0.2, bug: str = "") -> Params:
    """Back through readout, SiLU, GroupNorm and convolution."""
    xp, iv, xh, v, a, pool, o = _dw_fw(p, x)
    N, _C, H, W = x.shape
    do = 2 * (o - t) / N
    if bug == "half":
        do = (o - t) / N
    if bug == "meanall":
        do = 2 * (o - t) / o.size
    gpw = do.T @ pool
    gb = do.sum(0)[:, None]
    if bug == "pb_flat":
        gb = do.sum(0)
    if bug == "pb_one":
        gb = do[:1].T
    dpool = do @ p["pw"]
    da = 2 * a * dpool[:, :, None, None] / (H * W)
    s = sigmoid(v)
    dv = da * (s + v * s * (1 - s))
    if bug == "silu":
        dv = da * s
    if bug == "silu_sig":
        dv = da * s * (1 - s)
    gg = (dv * xh).sum((0, 2, 3))
    gbe = dv.sum((0, 2, 3))
    if bug == "swapgb":
        gg, gbe = gbe, gg
    if bug == "gamma_v":
        gg = (dv * v).sum((0, 2, 3))
    dx = (dv * p["gamma"][:, None, None]).reshape(N, 2, -1)
    X = xh.reshape(N, 2, -1)
    if bug == "nogamma":
        dx = dv.reshape(N, 2, -1)
    m1 = dx.mean(-1, keepdims=True)
    m2 = (dx * X).mean(-1, keepdims=True)
    if bug == "gn_nomean":
        m1 = 0
    if bug == "gn_novar":
        m2 = 0
    if bug == "gn_batchaxis":
        m1 = dx.mean(0, keepdims=True)
    dy = (iv * (dx - m1 - X * m2)).reshape(x.shape)
    if bug == "noiv":
        dy = (dx - m1 - X * m2).reshape(x.shape)
    gk = np.zeros_like(p["k"])
    for i in range(3):
        for j in range(3):
            gk[:, i, j] = (dy * xp[:, :, i : i + H, j : j + W]).sum((0, 2, 3))
    if bug == "flip":
        gk = gk[:, ::-1, ::-1]
    if bug == "kT":
        gk = gk.transpose(0, 2, 1)
    if bug == "edge":
        gk[:, 0] = 0
    if bug == "ch0":
        gk[:] = gk[:1]
    f = 1 if bug != "wd2" else 2
    if bug != "nowd_k":
        gk = gk + f * weight_decay * p["k"]
    gpw = gpw + f * weight_decay * p["pw"] if bug != "wd_l1" else gpw + weight_decay * np.sign(p["pw"])
    if bug == "wd_gamma":
        gg = gg + weight_decay * p["gamma"]
    return {"k": gk, "gamma": gg, "beta": gbe, "pw": gpw, "pb": gb}


DWCONV = Model(
    name="dwconv_gn",
    make=_dw_make,
    cost=_dw_cost,
    grad=_dw_grad,
    mistakes={
        "half": "factor regulariser upstream",
        "meanall": "factor upstream",
        "pb_flat": "",
        "pb_one": "bias-reduction",
        "silu": "activation-derivative upstream",
        "silu_sig": "activation-derivative upstream",
        "swapgb": "swapped",
        "gamma_v": "wrong-cache",
        "nogamma": "factor missing-path upstream",
        "gn_nomean": "missing-path upstream",
        "gn_novar": "missing-path upstream",
        "gn_batchaxis": "missing-path upstream",
        "noiv": "missing-path upstream",
        "flip": "permuted",
        "kT": "permuted transposed",
        "edge": "region zero",
        "ch0": "permuted region unbroadcast",
        "wd2": "regulariser",
        "nowd_k": "regulariser",
        "wd_l1": "regulariser",
        "wd_gamma": "regulariser",
    },
    options={"weight_decay": 0.2},
)


def _tc_make(rng: Generator) -> tuple[Params, Data]:
    """A linear layer to four positions of four channels, a filter of width four, a bias by channel."""
    N, Z, C, L = 6, 3, 4, 4
    return {
        "Wl": rng.normal(size=(Z, C * L)) * 0.6,
        "bl": rng.normal(size=C * L) * 0.3,
        "F": rng.normal(size=(C, 2, 4)) * 0.5,
        "fb": rng.normal(size=(1, 2, 1)) * 0.2,
    }, (rng.normal(size=(N, Z)), rng.normal(size=(N, 2, 10)))


def _tc_fw(p: Params, z: Array) -> Any:
    """The linear layer's tanh, spread with stride two."""
    N = len(z)
    a = np.tanh(z @ p["Wl"] + p["bl"])
    h = a.reshape(N, 4, 4)
    y = np.zeros((N, 2, 10), dtype=h.dtype)
    for i in range(4):
        y[:, :, 2 * i : 2 * i + 4] += np.einsum("nc,cok->nok", h[:, :, i], p["F"])
    return a, h, y + p["fb"]


def _tc_cost(p: Params, z: Array, t: Array) -> Any:
    """Pseudo-Huber loss by example."""
    d = _tc_fw(p, z)[2] - t
    return np.sum(np.sqrt(1 + d * d) - 1) / z.shape[0]


def _tc_grad(p: Params, z: Array, t: Array, bug: str = "") -> Params:
    """Back through the transposed convolution, position by position."""
    a, h, y = _tc_fw(p, z)
    d = y - t
    N = len(z)
    dy = d / np.sqrt(1 + d * d) / N
    if bug == "l2loss":
        dy = d / N
    if bug == "l1loss":
        dy = np.sign(d) / N
    gF = np.zeros_like(p["F"])
    dh = np.zeros_like(h)
    for i in range(4):
        sl = dy[:, :, 2 * i : 2 * i + 4] if bug != "shift" else np.roll(dy, 1, axis=2)[:, :, 2 * i : 2 * i + 4]
        if bug == "lastpos" and i == 3:
            continue
        if bug == "F_over":
            gF = np.einsum("nc,nok->cok", h[:, :, i], sl)
        else:
            gF += np.einsum("nc,nok->cok", h[:, :, i], sl)
        dh[:, :, i] = np.einsum("nok,cok->nc", sl, p["F"][:, :, ::-1] if bug == "flipF" else p["F"])
    if bug == "dh_trunc":
        dh[:, :, -1] = 0
    da = dh.transpose(0, 2, 1).reshape(N, -1) if bug == "order" else dh.reshape(N, -1)
    dz = da * (1 - a**2)
    if bug == "notanh":
        dz = da
    gW = z.T @ dz
    gb = dz.sum(0)
    if bug == "blmean":
        gb = dz.mean(0)
    if bug == "lastex":
        gW = z[:-1].T @ dz[:-1]
        gb = dz[:-1].sum(0)
    fb = dy.sum((0, 2), keepdims=True)
    if bug == "fbtot":
        fb = np.full((1, 2, 1), dy.sum())
    if bug == "fbunb":
        fb = dy.sum(0)[None]
    if bug == "f32":
        gF = gF.astype(np.float16).astype(float)
    if bug == "none":
        return {"Wl": gW, "bl": gb, "F": gF}
    if bug == "swapk":
        gF = gF[:, ::-1]
    if bug == "norm":
        gW = gW / np.linalg.norm(gW)
    if bug == "colf":
        gW[:, 5] *= 1.001
    return {"Wl": gW, "bl": gb, "F": gF, "fb": fb}


TCONV = Model(
    name="tconv",
    make=_tc_make,
    cost=_tc_cost,
    grad=_tc_grad,
    mistakes={
        "l2loss": "other-loss upstream",
        "l1loss": "other-loss upstream",
        "shift": "permuted wrong-cache upstream",
        "lastpos": "missing-path region upstream",
        "F_over": "missing-path overwritten truncated",
        "flipF": "permuted upstream",
        "dh_trunc": "region zero upstream",
        "order": "permuted transposed upstream",
        "notanh": "activation-derivative upstream",
        "blmean": "bias-reduction factor",
        "lastex": "missing-path region upstream",
        "fbtot": "bias-reduction unbroadcast",
        "fbunb": "contract unbroadcast",
        "f32": "precision",
        "none": "contract zero",
        "swapk": "permuted swapped",
        "norm": "clipped factor",
        "colf": "factor region",
    },
)

MODELS = (SE_BLOCK, DWCONV, TCONV)
