"""HB25's Algorithm 1 the obvious way: what every measurement is compared with. Frozen: do not make it faster.

Plain PyTorch: one network of torch's own modules, the whole batch in one call, Python loops over parameters.
Full batch, L⁰+L², bSQH_ω. `python benchmarks/yardstick.py FILE N` makes N iterations on the images, labels and
initial weights that torch saved in FILE, in a process that nothing else has set up.
"""

import json
import math
import sys
import time
from collections import deque

import torch
from torch import nn


def lenet5() -> nn.Sequential:
    """LeNet-5 as HB25 has it, for 28×28 grey images of ten classes."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 120), nn.Tanh(),
        nn.Linear(120, 84), nn.Tanh(),
        nn.Linear(84, 10),
    )  # fmt: skip


class Yardstick:
    """Minimises the mean cross-entropy + ρ Σ (α/2 ‖u‖² + (1−α) ‖u‖₀) over images x and labels y."""

    def __init__(self, x, y, alpha=0.8, rho=1e-4, zeta=0.01, omega=5, mu=7.0, eta=1e-9, eps0=1.0, state=None):
        self.network, self.x, self.y = lenet5(), x, y
        if state is not None:
            self.network.load_state_dict(state)
        self.alpha, self.rho, self.zeta, self.mu, self.eta = alpha, rho, zeta, mu, eta
        self.eps_hat, self.accepted = eps0, deque(maxlen=omega + 1)
        self.criterion = nn.CrossEntropyLoss()

    def penalty(self):
        return self.rho * sum(
            self.alpha / 2 * float((p.detach().double() ** 2).sum()) + (1 - self.alpha) * int((p != 0).sum())
            for p in self.network.parameters()
        )

    def step(self):
        """One iteration; returns J after it, its rejected trials and its seconds."""
        start = time.perf_counter()
        self.network.zero_grad()
        loss = self.criterion(self.network(self.x), self.y)
        loss.backward()
        J = loss.item() + self.penalty()
        old = [p.detach().clone() for p in self.network.parameters()]
        rejections = 0
        while True:
            eps = self.eps_hat * self.mu**rejections
            kappa = (1 - self.alpha) * self.rho / (eps + self.alpha * self.rho)
            norm = 0.0
            with torch.no_grad():
                for layer in self.network:
                    square = 0.0
                    for p in layer.parameters():
                        u = old[[q is p for q in self.network.parameters()].index(True)]
                        v = eps / (eps + self.alpha * self.rho) * (u - p.grad / eps)
                        p.copy_(torch.where(v.abs() > math.sqrt(2 * kappa), v, torch.zeros_like(v)))
                        square += float(((p - u).double() ** 2).sum())
                    norm += math.sqrt(square)
                J_trial = self.criterion(self.network(self.x), self.y).item() + self.penalty()
            if J_trial - J <= -self.eta * norm:
                break
            rejections += 1
        self.accepted.append(eps)
        self.eps_hat = sum(self.accepted) / len(self.accepted) if rejections else self.zeta * self.eps_hat
        return J_trial, rejections, time.perf_counter() - start


if __name__ == "__main__":
    saved = torch.load(sys.argv[1], weights_only=True)
    yardstick = Yardstick(**saved)
    print(json.dumps([yardstick.step() for _ in range(int(sys.argv[2]))]))
