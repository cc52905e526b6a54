"""Algorithm 1 for LeNet-5 in NumPy alone, written from algorithms.md and HB25: nothing is shared with bsqh_core."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def conv(x, w, b):
    windows = sliding_window_view(x, w.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, w) + b[:, None, None]


def conv_backward(x, w, g):
    windows = sliding_window_view(x, w.shape[2:], axis=(2, 3))
    dw = np.einsum("nchwij,nohw->ocij", windows, g)
    k = w.shape[2]
    padded = np.pad(g, ((0, 0), (0, 0), (k - 1, k - 1), (k - 1, k - 1)))
    dx = np.einsum("nohwij,ocij->nchw", sliding_window_view(padded, (k, k), axis=(2, 3)), w[:, :, ::-1, ::-1])
    return dx, dw, g.sum((0, 2, 3))


def pool(x):
    x = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
    return (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4


def pool_backward(shape, g):
    dx = np.zeros(shape)
    dx[:, :, : g.shape[2] * 2, : g.shape[3] * 2] = g.repeat(2, axis=2).repeat(2, axis=3) / 4
    return dx


def forward(u, x):
    """Logits and what the backward sweep needs; u is a list of (weight, bias)."""
    kept = []
    for w, b in u[:2]:
        t = np.tanh(conv(x, w, b))
        kept.append((x, t))
        x = pool(t)
    kept.append(x.shape)
    x = x.reshape(len(x), -1)
    for i, (w, b) in enumerate(u[2:]):
        kept.append(x)
        x = x @ w.T + b
        if i < 2:
            x = np.tanh(x)
    return x, kept


def mean_loss(u, x, y, weights):
    logits, _ = forward(u, x)
    log_p = logits - logits.max(1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(1, keepdims=True))
    w = weights[y]
    return -(w * log_p[np.arange(len(y)), y]).sum() / w.sum()


def forces(u, x, y, weights):
    """F_l = −∂L_B/∂u_l for every layer, as (weight, bias)."""
    logits, (conv1, conv2, shape, h0, h1, h2) = forward(u, x)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    g = p * (weights[y] / weights[y].sum())[:, None]
    F = [None] * 5
    F[4] = (-g.T @ h2, -g.sum(0))
    g = (g @ u[4][0]) * (1 - h2**2)
    F[3] = (-g.T @ h1, -g.sum(0))
    g = (g @ u[3][0]) * (1 - h1**2)
    F[2] = (-g.T @ h0, -g.sum(0))
    g = (g @ u[2][0]).reshape(shape)
    for i, (x_in, t) in ((1, conv2), (0, conv1)):
        g = pool_backward(t.shape, g) * (1 - t**2)
        g, dw, db = conv_backward(x_in, u[i][0], g)
        F[i] = (-dw, -db)
    return F


def regulariser(u, c):
    entries = np.concatenate([a.ravel() for layer in u for a in layer])
    sparse = {"l0": np.count_nonzero(entries), "elastic-net": np.abs(entries).sum(), "none": 0}[c["penalty"]]
    quadratic = 0 if c["penalty"] == "none" else c["alpha"] / 2 * (entries**2).sum()
    return c["rho"] * (quadratic + (1 - c["alpha"]) * sparse)


def prox(u, F, eps, c):
    if c["penalty"] == "none":
        return u + F / eps
    v = eps / (eps + c["alpha"] * c["rho"]) * (u + F / eps)
    kappa = (1 - c["alpha"]) * c["rho"] / (eps + c["alpha"] * c["rho"])
    if c["penalty"] == "l0":
        return np.where(np.abs(v) <= np.sqrt(2 * kappa), 0.0, v)
    return np.sign(v) * np.maximum(np.abs(v) - kappa, 0)


def train(u, batches, weights, c):
    """Run Algorithm 1; yields (u, J, J_before, eps_hat, eps, rejections, step_norm) after each iteration."""
    eps_hat, accepted = c["eps0"], []
    for x, y in batches:
        J_before = mean_loss(u, x, y, weights) + regulariser(u, c)
        F = forces(u, x, y, weights)
        j = 0
        while True:
            eps = c["mu"] ** j * eps_hat
            w = [tuple(prox(a, f, eps, c) for a, f in zip(*pair, strict=True)) for pair in zip(u, F, strict=True)]
            J = mean_loss(w, x, y, weights) + regulariser(w, c)
            step = sum(
                np.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(*pair, strict=True)))
                for pair in zip(w, u, strict=True)
            )
            if not J - J_before > -c["eta"] * step:
                break
            j += 1
        u = w
        accepted.append(eps)
        yield u, J, J_before, eps_hat, eps, j, step
        if c["method"] == "sqh":
            eps_hat = c["zeta"] * eps
        else:
            eps_hat = c["zeta"] * eps_hat if j == 0 else float(np.mean(accepted[-(c["omega"] + 1) :]))
