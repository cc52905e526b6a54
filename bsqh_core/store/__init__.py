"""What outlives the process: runs in SQLite, weights and resume states as safetensors beside it."""

from bsqh_core.store.bundle import export_run, import_run
from bsqh_core.store.histories import Histories
from bsqh_core.store.recorder import Recorder
from bsqh_core.store.runs import StoredRun
from bsqh_core.store.store import Store, StoreError, store_directory

__all__ = [
    "Histories",
    "Recorder",
    "Store",
    "StoreError",
    "StoredRun",
    "export_run",
    "import_run",
    "store_directory",
]
