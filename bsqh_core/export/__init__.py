"""What stored runs come out as: pure functions from a store and its runs to the bytes of a file.

`records` (CSV, Parquet, JSON), `tensorboard`, `model` with `sparse`, `onnx_model` and `packed` (weights), which
`integer` computes with NumPy alone, and `report` (HTML).
What is needed for one form alone is imported when that form is asked for.
"""

from bsqh_core.export.integer import IntegerNetwork
from bsqh_core.export.model import ModelSizes, model_sizes, safetensors_bytes, trained_network
from bsqh_core.export.onnx_model import onnx_bytes
from bsqh_core.export.packed import PackedSizes, packed_bytes, packed_sizes
from bsqh_core.export.records import records_csv, records_parquet, result_json
from bsqh_core.export.report import report_html
from bsqh_core.export.sparse import load_sparse, sparse_bytes
from bsqh_core.export.tensorboard import event_files

__all__ = [
    "IntegerNetwork",
    "ModelSizes",
    "PackedSizes",
    "event_files",
    "load_sparse",
    "model_sizes",
    "onnx_bytes",
    "packed_bytes",
    "packed_sizes",
    "records_csv",
    "records_parquet",
    "report_html",
    "result_json",
    "safetensors_bytes",
    "sparse_bytes",
    "trained_network",
]
