"""Published points for LeNet-5-Caffe on MNIST, beside which the scoreboard shows what is measured here."""

from __future__ import annotations

from dataclasses import dataclass

LENET_5_CAFFE = 431_080
"""Parameters of LeNet-5-Caffe (20 and 50 channels, 500 units), 580 biases among them."""


@dataclass(frozen=True)
class Point:
    """What a publication reports of one sparse LeNet-5-Caffe, trained on MNIST's 60,000 images.

    Attributes
    ----------
    label : str
        A short name.
    error_percent : float
        On the 10,000 test images.
    nonzeros : tuple[int, int]
        Least and greatest count that can be taken from what is printed.
    counted : str
        How they are taken from it.
    source : str
        Authors, year, title and venue.
    """

    label: str
    error_percent: float
    nonzeros: tuple[int, int]
    counted: str
    source: str
    parameters: int = LENET_5_CAFFE


LITERATURE = (
    Point(
        "Pruning",
        0.77,
        (36_000, 36_000),
        "36K, 12 times fewer, as printed",
        "Song Han, Jeff Pool, John Tran, William J. Dally 2015, Learning both Weights and Connections for Efficient "
        "Neural Networks, NIPS",
    ),
    Point(
        "DNS",
        0.91,
        (3_900, 4_000),
        "108 times fewer, as printed; 111 times by the count of Molchanov et al.",
        "Yiwen Guo, Anbang Yao, Yurong Chen 2016, Dynamic Network Surgery for Efficient DNNs, NIPS",
    ),
    Point(
        "Sparse VD",
        0.75,
        (1_500, 1_500),
        "280 times fewer, as printed",
        "Dmitry Molchanov, Arsenii Ashukha, Dmitry Vetrov 2017, Variational Dropout Sparsifies Deep Neural Networks, "
        "ICML",
    ),
    Point(
        "GSM",
        0.94,
        (1_400, 1_400),
        "300 times fewer, as printed",
        "Xiaohan Ding, Guiguang Ding, Xiangxin Zhou, Yuchen Guo, Jungong Han, Ji Liu 2019, Global Sparse Momentum SGD "
        "for Pruning Very Deep Neural Networks, NeurIPS",
    ),
    Point(
        "BC",
        1.0,
        (2_800, 4_100),
        "of the pruned architectures 5-10-76-16 (BC-GHS) and 8-13-88-13 (BC-GNJ), with biases",
        "Christos Louizos, Karen Ullrich, Max Welling 2017, Bayesian Compression for Deep Learning, NIPS",
    ),
    Point(
        "L₀",
        1.0,
        (6_200, 6_200),
        "of the pruned architecture 9-18-65-25, with biases",
        "Christos Louizos, Max Welling, Diederik P. Kingma 2018, Learning Sparse Neural Networks through L₀ "
        "Regularization, ICLR",
    ),
)

CAVEAT = (
    "Published points are of LeNet-5-Caffe, trained on 60,000 images; the papers compute their ratios differently "
    "(with or without biases, layer by layer, of nominally 431,080 or 430,500 parameters)."
)
"""What whoever looks at the published points should know."""
