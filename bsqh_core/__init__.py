"""Optimal-control training of neural networks by the (batch) sequential quadratic Hamiltonian method.

>>> from bsqh_core import RunConfig, build_solver
>>> solver = build_solver(RunConfig(dataset="digits", iterations=3))
>>> for record in solver:
...     print(record.iteration, record.J)
"""

import os

# Before torch allocates anything: huge pages for large tensors on Linux, 6 % of a full-batch iteration.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

from bsqh_core.config import RunConfig
from bsqh_core.datasets import Dataset
from bsqh_core.records import EvaluationRecord, IterationRecord, Outcome, Trial
from bsqh_core.solvers import build_solver

__all__ = ["Dataset", "EvaluationRecord", "IterationRecord", "Outcome", "RunConfig", "Trial", "build_solver"]
__version__ = "0.1.0"
