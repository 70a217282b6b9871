"""The room of `dynamic_quantization.ipynb`: one short module per section of the recipe.

Read in the order of the notebook: `rounding` (the opening); 1 `model`; 2 `quantize`, `inspection`;
3 `size`, `memory` and `memory_probe`, which runs in a process of its own; 4 `timing`, `latency`,
`costs`; 5 `accuracy`. `pair` makes the two models that are compared, at one width or at many, and
`compare` compares them in everything at one go. `claims`, `judges` and `ledger` close it; `plots`
has its figures.
"""

import lazy_loader

# `rh.plots` is this room's; loaded when first used, as matplotlib is heavy.
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=["plots"])
