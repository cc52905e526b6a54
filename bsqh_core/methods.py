"""The training methods by name: how people call them, and what they declare that they can do.

Adding a method means adding one entry here, and its solver in `bsqh_core.solvers`.
"""

from __future__ import annotations

from dataclasses import dataclass

_LINE_SEARCH = ("zeta", "mu", "eta", "eps0")
_CONTINUATION = ("rho_start", "rho_until", "debias")
_STEPS = ("learning_rate", "decay")
_AVERAGE = ("averaging", "threshold", "learning_rate")
_BOX = ("bound_a", "bound_b")


@dataclass(frozen=True)
class Method:
    """What people and checks need to know about a training method.

    Attributes
    ----------
    title : str
        What it does, with its source.
    label : str
        Its short name.
    settings : tuple[str, ...]
        Fields of `RunConfig` that only some methods read, and this one does.
    tells : str
        The one of them that its labels tell.
    smooth : bool
        Whether it needs a differentiable objective: no penalty, or its quadratic part alone (α = 1).
    full_batch : bool
        Whether it needs the whole training set in each iteration.
    line_search : bool
        Whether it tries candidates; others evaluate the objective once an iteration, before their step.
    forward_passes : int
        Forward sweeps over the batch in an iteration that rejects no trial. Not among them are what `sqh-lbfgs`
        computes inside its layers, with the states and costates that it needs there, and the one sweep of `lbfgs` at
        the initial weights.
    weights : str
        "real", or the discrete set of `ADMISSIBLE` in which the method trains; methods that read the field `weights`
        say "real" and can do all.
    network : str
        The one network that it trains; any if empty.
    learning_rate, averaging, threshold : float
        Used where the configuration has none; NaN for methods without them.
    """

    title: str
    label: str
    settings: tuple[str, ...] = ()
    tells: str = ""
    smooth: bool = False
    full_batch: bool = False
    line_search: bool = True
    forward_passes: int = 2
    weights: str = "real"
    network: str = ""
    learning_rate: float = float("nan")
    averaging: float = float("nan")
    threshold: float = float("nan")


METHODS = {
    "bsqh": Method(
        "bSQH_ω: the next guess of ε is a moving average of accepted ones (HB25 Algorithm 1)",
        "bSQH",
        ("omega", "weights", *_LINE_SEARCH, *_CONTINUATION, *_BOX),
        "omega",
    ),
    "bsqh-lagged": Method(
        "bSQH_ω, lagged: as bSQH_ω, but after an immediate success the next guess is ζ times the ε accepted one "
        "iteration earlier (HB25's counts of rejected trials look like it)",
        "lagged bSQH",
        ("omega", "weights", *_LINE_SEARCH, *_CONTINUATION, *_BOX),
        "omega",
    ),
    "sqh": Method(
        "SQH_ζ: the next guess of ε is a fixed fraction of the last one (HB25 Algorithm 1)",
        "SQH",
        ("weights", *_LINE_SEARCH, *_CONTINUATION, *_BOX),
        "zeta",
    ),
    "sqh-lbfgs": Method(
        "SQH with L-BFGS: the augmented Hamiltonian of each layer, activation included, maximised numerically "
        "(the way before HB25, see its §8)",
        "SQH by L-BFGS",
        _LINE_SEARCH,
        smooth=True,
    ),
    "sr2": Method(
        "SR2: proximal steps with adaptive quadratic regularisation (Lakhmiri, Orban, Lodi 2022)",
        "SR2",
        ("eps0", *_CONTINUATION),
    ),
    "prox-sgd": Method(
        "Proximal SGD: a gradient step with momentum, then the penalty's prox",
        "prox-SGD",
        (*_STEPS, "momentum", *_CONTINUATION),
        line_search=False,
        forward_passes=1,
        learning_rate=0.05,
    ),
    "prox-adam": Method(
        "Proximal Adam: Adam's step, then the prox in Adam's metric (ProxGen; Yun, Lozano, Yang 2021)",
        "prox-Adam",
        (*_STEPS, *_CONTINUATION),
        line_search=False,
        forward_passes=1,
        learning_rate=1e-3,
    ),
    "sgd": Method(
        "SGD with momentum",
        "SGD",
        (*_STEPS, "momentum"),
        smooth=True,
        line_search=False,
        forward_passes=1,
        learning_rate=0.05,
    ),
    "adam": Method(
        "Adam (Kingma, Ba 2015)",
        "Adam",
        _STEPS,
        smooth=True,
        line_search=False,
        forward_passes=1,
        learning_rate=1e-3,
    ),
    "pruning": Method(
        "Gradual magnitude pruning with fine-tuning, by Adam (Zhu, Gupta 2018)",
        "pruning",
        ("keep", *_STEPS),
        "keep",
        smooth=True,
        line_search=False,
        forward_passes=1,
        learning_rate=1e-3,
    ),
    "iht": Method(
        "Iterative hard thresholding: by turns all weights are trained, and only the largest ones, by SGD "
        "(Jin, Yuan, Feng, Yan 2016)",
        "IHT",
        ("keep", *_STEPS, "momentum"),
        "keep",
        smooth=True,
        line_search=False,
        forward_passes=1,
        learning_rate=0.05,
    ),
    "lbfgs": Method(
        "L-BFGS with a strong Wolfe line search, on the whole training set",
        "L-BFGS",
        smooth=True,
        full_batch=True,
        forward_passes=1,
    ),
    "msa": Method(
        "Basic MSA for binary weights: each becomes the sign of Σ p xᵀ, costate behind its layer times input (LH18 "
        "Algorithm 1); it is not meant to settle",
        "basic MSA",
        _AVERAGE,
        "threshold",
        line_search=False,
        forward_passes=1,
        weights="binary",
        learning_rate=1e-3,
        averaging=0.0,
        threshold=0.0,
    ),
    "msa-binary": Method(
        "MSA for binary weights: only large entries of the averaged p xᵀ flip a weight (LH18 Algorithm 2)",
        "binary MSA",
        (*_AVERAGE, "averaging_decay"),
        "threshold",
        line_search=False,
        forward_passes=1,
        weights="binary",
        learning_rate=1e-3,
        averaging=0.999,
        threshold=0.5,
    ),
    "msa-ternary": Method(
        "MSA for weights −1, 0 and 1 (LH18 Algorithm 3); its λ is ρ with α = 0, and of the size of 1e-7",
        "ternary MSA",
        (*_AVERAGE, "averaging_decay"),
        "threshold",
        line_search=False,
        forward_passes=1,
        weights="ternary",
        learning_rate=1e-3,
        averaging=0.999,
        threshold=0.25,
    ),
    "binary-connect": Method(
        "BinaryConnect: the signs of real weights are used, and these learn from the gradient there, by Adam",
        "BinaryConnect",
        _STEPS,
        smooth=True,
        line_search=False,
        forward_passes=1,
        weights="binary",
        learning_rate=1e-3,
    ),
    "binary-connect-stochastic": Method(
        "BinaryConnect with weights drawn anew for each batch, and signs at test time",
        "stochastic BinaryConnect",
        _STEPS,
        smooth=True,
        line_search=False,
        forward_passes=2,
        weights="binary",
        learning_rate=1e-3,
    ),
    "ternary-connect": Method(
        "Ternary weights by a threshold on real ones, by Adam (Li, Zhang, Liu 2016)",
        "ternary weights by threshold",
        _STEPS,
        smooth=True,
        line_search=False,
        forward_passes=1,
        weights="ternary",
        learning_rate=1e-3,
    ),
}

METHODS |= {
    "lm19-msa": Method(
        "MSA in a box: a and b become maximisers of the Hamiltonian (LM19 Algorithm 2); it is not meant to settle",
        "MSA (LM19)",
        _BOX,
        smooth=True,
        full_batch=True,
        line_search=False,
        network="selection",
    ),
    "lm19-pam": Method(
        "PAM: a and b minimise J in turn, each with a proximal term (LM19 Algorithm 1)",
        "PAM",
        ("learning_rate", *_BOX),
        smooth=True,
        full_batch=True,
        line_search=False,
        network="selection",
        learning_rate=1.0,
    ),
    "lm19-sqh": Method(
        "SQH with σ in the Hamiltonian: MSA with an augmentation whose weight ε decreases J",
        "SQH, exact H",
        ("omega", *_LINE_SEARCH, *_BOX),
        smooth=True,
        full_batch=True,
        network="selection",
    ),
    "lm19-descent": Method(
        "Gradient descent in L², projected on the box, with Armijo's rule",
        "gradient descent",
        ("learning_rate", *_BOX),
        smooth=True,
        full_batch=True,
        network="selection",
        learning_rate=1.0,
    ),
}

OWN_SETTINGS = tuple(dict.fromkeys(name for method in METHODS.values() for name in method.settings))
"""Fields of `RunConfig` that not every method reads."""
