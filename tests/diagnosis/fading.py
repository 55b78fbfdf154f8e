"""A recurrent cell that is no usual one, since its state fades by itself, so that only experiments can tell."""

from typing import Any

import numpy as np

import gradproof as gp


def checked(fault: str = "", chunk: int = 0, decay: float = 0.0) -> gp.Report:
    """Checks it with a fault."""
    rng = np.random.default_rng(8)
    m, steps, n_x, n = 5, 5, 3, 4
    p = {"Wx": rng.normal(size=(n_x, n)), "Wh": 0.7 * rng.normal(size=(n, n)), "v": rng.normal(size=n)}
    data = rng.normal(size=(m, steps, n_x)), rng.normal(size=(m, steps, 1))

    def passed(p: Any, X: Any, y: Any) -> tuple[float, Any]:
        H, e, g = [np.zeros((len(X), n))], [], {name: np.zeros_like(w) for name, w in p.items()}
        for t in range(X.shape[1]):
            H.append(np.tanh(X[:, t] @ p["Wx"] + H[-1] @ p["Wh"]) + 0.3 * H[-1])
            e.append((H[-1] @ p["v"] - y[:, t, 0]) / y[:, :, 0].size)
        back = np.zeros_like(H[0])
        steps = range(X.shape[1])
        left = {"last step": steps[:-1], "first step": steps[1:], "two steps": steps[:-2]}.get(fault, steps)
        for t in reversed(left):
            g["v"] += H[t + 1].T @ e[t]
            dh = np.outer(e[t], p["v"]) + back
            dz = dh * (1 - (H[t + 1] - 0.3 * H[t]) ** 2)
            g["Wx"] += X[:, t].T @ dz
            g["Wh"] += H[t].T @ dz
            cut = fault == "nothing back" or (chunk and t % chunk == 0)
            back = np.zeros_like(dh) if cut else dz @ p["Wh"].T + 0.3 * dh
        cost = 0.5 * sum(np.sum(r**2) for r in e) * y[:, :, 0].size + decay * sum(np.sum(w**2) for w in p.values())
        return float(cost), {name: g[name] + 2 * decay * w for name, w in p.items()}

    return gp.check(lambda *a: passed(*a)[0], p, lambda *a: passed(*a)[1], data=data, examples_axis=0)
