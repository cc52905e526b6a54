"""The configuration of one run: validated on construction, JSON in and out.

Forms, command-line flags and documentation are generated from the fields of `RunConfig`, so a
new setting is added here and nowhere else.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from bsqh_core.augmentation import EPS_MAX, EPS_MIN
from bsqh_core.conflicts import conflicts
from bsqh_core.discrete import ADMISSIBLE
from bsqh_core.errors import ConfigError
from bsqh_core.fields import FieldSpec, setting
from bsqh_core.losses import LOSSES
from bsqh_core.methods import METHODS, OWN_SETTINGS
from bsqh_core.networks import NETWORKS
from bsqh_core.penalties import PENALTIES
from bsqh_core.selection import ACTIVATIONS

DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = ("float32", "float64")

ARCHITECTURE_SETTINGS = tuple(dict.fromkeys(name for item in NETWORKS.values() for name in item.settings))
"""Fields of `RunConfig` that only some networks read."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that determines a run. Symbols are those of HB25; `RunConfig.spec(name)` has them.

    Raises
    ------
    ConfigError
        With one sentence for every field that is wrong.
    """

    dataset: str = setting(str, "digits", "𝒟", "Data set: a name, or the path of a MedMNIST-style .npz file.")
    train_samples: int | None = setting(
        int,
        None,
        "|B|",
        "Train on this many of the training images (a fixed random subset); all of them if empty.",
        optional=True,
        least=2,
    )
    validation_samples: int | None = setting(
        int,
        None,
        "|V|",
        "Hold out this many of the training images as validation images (a fixed random subset); none if empty.",
        optional=True,
        least=1,
    )
    scaling: str = setting(
        str,
        "standardise",
        "x",
        "Bytes of images are standardised with mean and deviation of the training images, or only scaled to [0, 1].",
        choices=lambda: ("standardise", "unit"),
    )
    network: str = setting(str, "lenet5", "𝒩", "Network architecture.", choices=lambda: NETWORKS)
    widths: tuple[int, ...] | None = setting(
        int,
        None,
        "n_l",
        "Hidden widths: channels of the convolutions, then units of the hidden linear layers.",
        optional=True,
        many=True,
        least=1,
        most=4096,
    )
    activation: str = setting(
        str, "tanh", "σ", "Activation of a selection network (LM19 2.2).", choices=lambda: ACTIVATIONS
    )
    horizon: float = setting(
        float, 2.0, "T", "End of time of a selection network: its steps have the length T/L.", above=0, most=100
    )
    depth: int = setting(int, 10, "L", "Depth of a selection network: Euler steps.", least=1, most=200)
    initial: str = setting(
        str, "exp(-50*(y-0.5)**2)", "f_I", "Initial state of the data set `profiles`, a formula in y from 0 to 1."
    )
    target: str = setting(
        str, "0.5*sin(2*pi*y)", "f̃", "What f(T) is to become in the data set `profiles`, a formula in y from 0 to 1."
    )
    loss: str = setting(
        str,
        "cross-entropy",
        "Φ",
        "Loss of a sample: cross-entropy; the mean of max(0, 1 − y o)² over the classes, y in ±1 (LH18 D.1); half the "
        "squares of logistic outputs less 0 or 1 (LM19 2.4); or, of `profiles`, half the mean square of f(T) − f̃.",
        choices=lambda: LOSSES,
    )
    penalty: str = setting(
        str,
        "l0",
        "R",
        "Penalty that makes weights vanish (HB25 6.5).",
        formula=r"R(u) = \tfrac{\alpha}{2}\|u\|_2^2 + (1-\alpha)\,\|u\|_{0\text{ or }1}",
        choices=lambda: PENALTIES,
    )
    alpha: float = setting(
        float,
        0.8,
        "α",
        "Share of the quadratic part in the penalty.",
        formula=r"R(u) = \tfrac{\alpha}{2}\|u\|_2^2 + (1-\alpha)\,\|u\|_{0\text{ or }1}",
        least=0,
        most=1,
    )
    rho: float = setting(
        float,
        1e-4,
        "ρ",
        "Weight of the penalty in J = loss + ρ Σ R(u_l).",
        formula=r"J(u) = L(u) + \rho \sum_l R(u_l)",
        least=0,
        most=1e30,  # more does not fit into float32
    )
    regularise_batch_norm: bool = setting(
        bool, False, "R_BN", "Penalise and count the scales and shifts of batch normalisation too."
    )
    class_weights: bool = setting(
        bool,
        False,
        "w_i",
        "Weight class i by exp(|B| / (classes · c_i)), c_i its number of training images (HB25 8.3).",
        formula=r"w_i = \exp\bigl(|B| / (n\, c_i)\bigr)",
    )
    weighted_mean: str = setting(
        str,
        "weights",
        "1/M",
        "The weighted loss of a batch is divided by the sum of its weights, or by its number of samples.",
        choices=lambda: ("weights", "samples"),
    )
    method: str = setting(
        str, "bsqh", "method", "Training method: bSQH, or one of its rivals.", choices=lambda: METHODS
    )
    weights: str = setting(
        str,
        "real",
        "U",
        "Admissible weights: all real ones, −s and s, or −s, 0 and s, with one s for each layer.",
        formula=r"u_l \in \mathbb R^n,\ \{-s_l, s_l\}^n \text{ or } \{-s_l, 0, s_l\}^n",
        choices=lambda: ("real", *ADMISSIBLE),
    )
    averaging: float | None = setting(
        float,
        None,
        "a",
        "Share of the moving average of p xᵀ that an iteration keeps; the method's usual one if empty. In mini-batches "
        "1 − a shrinks after each epoch, by the factor c.",
        formula=r"\bar M \leftarrow a\,\bar M + (1-a) \sum_s p_s x_s^\top",
        optional=True,
        least=0,
        below=1,
    )
    averaging_decay: float = setting(
        float,
        0.95,
        "c",
        "Factor by which 1 − a shrinks after each epoch; in full batch it stays.",
        formula=r"1 - a \leftarrow c\,(1-a)",
        above=0,
        most=1,
    )
    threshold: float | None = setting(
        float,
        None,
        "r",
        "Weights change where the moving average passes this share of its largest entry of the wrong sign; "
        "the method's usual one if empty. With 0 nothing holds them.",
        formula=r"r = \text{share} \cdot \max\{|\bar M_{ij}| : \operatorname{sign} \bar M_{ij} \ne \theta_{ij}\}",
        optional=True,
        least=0,
        below=1,
    )
    bound_a: float | None = setting(
        float,
        None,
        "a⁺",
        "Box of a selection network: |a| is at most this; no limit if empty.",
        optional=True,
        above=0,
        most=1e6,
    )
    bound_b: float | None = setting(
        float,
        None,
        "b⁺",
        "Box of a selection network: |b| is at most this; no limit if empty.",
        optional=True,
        above=0,
        most=1e6,
    )
    zeta: float = setting(
        float,
        0.01,
        "ζ",
        "Factor by which the guess of ε shrinks.",
        formula=r"\text{SQH}_\zeta: \hat\epsilon_{k+1} = \zeta\,\epsilon_k, \quad "
        r"\text{bSQH}_\omega \text{ if nothing was rejected}: \hat\epsilon_{k+1} = \zeta\,\hat\epsilon_k",
        above=0,
        most=1,
    )
    omega: int = setting(
        int,
        5,
        "ω",
        "bSQH_ω: after a rejection the next guess is the mean of the last ω+1 ε.",
        formula=r"\hat\epsilon_{k+1} = \tfrac{1}{\omega+1}\sum_{i=k-\omega}^{k}\epsilon_i",
        least=0,
    )
    mu: float = setting(
        float,
        7.0,
        "μ",
        "Factor by which ε grows at each rejected trial.",
        formula=r"\epsilon_k = \mu^j\,\hat\epsilon_k",
        above=1,
    )
    eta: float = setting(
        float,
        1e-9,
        "η",
        "Decrease demanded: J(w) − J(u) ≤ −η |||w − u||| (HB25 7.1); of lm19-sqh −η ‖w − u‖² in L².",
        formula=r"J(w) - J(u) \le -\eta \sum_l \|w_l-u_l\|_2",
        above=0,
    )
    eps0: float = setting(
        float,
        1.0,
        "ε₀",
        "First guess of the augmentation weight.",
        formula=r"\mathcal H_{\epsilon}(w,u) = \mathcal H(w) - \tfrac{\epsilon}{2}\|w-u\|_2^2",
        least=EPS_MIN,
        most=EPS_MAX,
    )
    learning_rate: float | None = setting(
        float,
        None,
        "lr",
        "Step length, 1/ε; of LM19's gradient descent the first one tried, of its PAM τ, of MSA for discrete weights "
        "that of batch normalisation alone. The method's usual one if empty.",
        formula=r"\epsilon = 1 / \mathrm{lr}",
        optional=True,
        above=0,
        most=1e30,  # torch takes no more
    )
    decay: str = setting(
        str,
        "cosine",
        "lr(k)",
        "The learning rate stays, or falls to 0 along half a cosine.",
        choices=lambda: ("cosine", "constant"),
    )
    momentum: float = setting(float, 0.9, "β", "Share of the last step that SGD keeps.", least=0, below=1)
    keep: float = setting(
        float, 0.1, "keep", "Share of the weights that pruning and hard thresholding keep.", above=0, most=1
    )
    rho_start: float | None = setting(
        float,
        None,
        "ρ₀",
        "Continuation: ρ begins here and grows by a constant factor; constant if empty.",
        formula=r"\rho_k = \rho_0\,(\rho/\rho_0)^{k/k_\rho}",
        optional=True,
        above=0,
    )
    rho_until: float = setting(
        float, 0.5, "k_ρ", "Continuation: share of the iterations after which ρ is reached.", above=0, most=1
    )
    debias: float = setting(
        float,
        0.0,
        "debias",
        "Share of the iterations, at the end, without penalty: weights that are 0 by then stay 0.",
        least=0,
        below=1,
    )
    batch_size: int | Literal["full"] = setting(
        int,
        "full",
        "M",
        "Samples in a mini-batch, or `full` for the whole training set.",
        formula=r"B_k \subset B,\quad |B_k| = M",
        word="full",
        least=1,
    )
    iterations: int = setting(int, 300, "k_max", "Iterations to make at most.", least=1, most=10**7)
    seed: int = setting(
        int,
        0,
        "seed",
        "Seed of the initial weights, of the mini-batches, and of what a method draws.",
        least=0,
        most=2**63 - 1,
    )
    device: str = setting(
        str, "auto", "device", "Where to train; `auto` takes CUDA, else MPS, else the CPU.", choices=lambda: DEVICES
    )
    dtype: str = setting(str, "float32", "dtype", "Number format of weights and states.", choices=lambda: DTYPES)
    evaluate_every: int = setting(
        int, 10, "every", "Evaluate on held-out data every so many iterations, and at the end.", least=1
    )
    full_objective: bool = setting(
        bool, False, "J_B", "At each evaluation compute the objective over the whole training set too."
    )

    def __post_init__(self) -> None:
        problems: dict[str, str] = {}
        for item in fields(self):
            value, problem = self.spec(item.name).check(item.name, getattr(self, item.name))
            object.__setattr__(self, item.name, value)
            if problem:
                problems[item.name] = problem
        if not problems:
            problems = conflicts(self)
        if problems:
            raise ConfigError(problems)

    @property
    def has_target(self) -> bool:
        """Whether f(T) is to meet a function, in place of classes."""
        return self.dataset == "profiles"

    @property
    def admissible(self) -> str:
        """The set that the weights are trained in: "real", "box", or a name in `ADMISSIBLE`."""
        own = METHODS[self.method].weights
        if own != "real" or (self.weights != "real" and self.reads("weights")):
            return self.weights if own == "real" else own
        bounded = any(self.reads(name) and getattr(self, name) is not None for name in ("bound_a", "bound_b"))
        return "box" if bounded else "real"

    @property
    def discrete(self) -> bool:
        """Whether the weights are trained in one of the sets of `ADMISSIBLE`."""
        return self.admissible in ADMISSIBLE

    @property
    def architecture_settings(self) -> dict[str, Any]:
        """What `build_network` takes beside the widths."""
        return {name: getattr(self, name) for name in NETWORKS[self.network].settings}

    def used(self, name: str) -> Any:
        """The value of a field that the run goes by: the method's usual one if it is empty and the method has one."""
        value = getattr(self, name)
        return getattr(METHODS[self.method], name, None) if value is None else value

    def reads(self, name: str) -> bool:
        """Whether this run depends on a field: many are for some methods, or with some other fields, alone."""
        if name in ("alpha", "rho"):
            return self.penalty != "none"
        if name == "rho_until" and self.rho_start is None:
            return False
        if name in ("initial", "target"):
            return self.has_target
        if name in ARCHITECTURE_SETTINGS:
            return name in NETWORKS[self.network].settings
        if name in ("bound_a", "bound_b") and self.network != "selection":
            return False
        return name not in OWN_SETTINGS or name in METHODS[self.method].settings

    @classmethod
    def spec(cls, name: str) -> FieldSpec:
        """Symbol, explanation and limits of a field."""
        return cls.__dataclass_fields__[name].metadata["spec"]

    def to_json(self) -> str:
        """All fields as one JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RunConfig:
        """The configuration that `to_json` wrote; absent fields take their defaults.

        Raises
        ------
        ConfigError
            If the text is not a JSON object, has unknown fields, or values that are refused.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise ConfigError({"json": f"This is not JSON: {error}."}) from None
        if not isinstance(values, dict):
            raise ConfigError({"json": "A configuration is a JSON object, {…}, of the fields of RunConfig."})
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            raise ConfigError({name: f"There is no field {name!r} in a configuration." for name in unknown})
        return cls(**values)
