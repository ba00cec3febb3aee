"""A script of the recipe with FSDP on the CPU, which Accelerate offers on GPUs alone: sharded.py run_ner.py ..."""

import runpy
import sys

from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType

start = AcceleratorState.__init__


def start_sharded(self, *args, fsdp_plugin=None, **options):
    """As Accelerate does it for processes with a GPU each."""
    start(self, *args, fsdp_plugin=fsdp_plugin, **options)
    if fsdp_plugin is not None:
        self.fsdp_plugin = fsdp_plugin
        self.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP
        if self._mixed_precision != "no":
            fsdp_plugin.set_mixed_precision(self._mixed_precision)


AcceleratorState.__init__ = start_sharded
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
