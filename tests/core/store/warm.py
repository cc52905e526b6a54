"""Imported once by the process that forks children: they find the data in memory."""

from bsqh_core.datasets import load_dataset

load_dataset("digits")
