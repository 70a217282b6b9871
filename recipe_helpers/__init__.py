"""Helpers of the recipe on dynamic quantization of LSTMs; the notebooks import it as `rh`.

One room per notebook, in the order in which to read them, and two that serve them all:

    recipe          dynamic_quantization.ipynb, one module per section
    explorer        its interactive panel
    trained_models  trained_models.ipynb
    under_the_hood  under_the_hood.ipynb
    your_model      your_model.ipynb, and the command line
    classroom       class_comparison.ipynb, and many measurements at once
    exercises       what checks the answers to the exercises
    common          what everybody needs: errors, checks, settings, tables

`__init__.pyi` lists the public names. They are loaded when first used, so that
`import recipe_helpers` costs next to nothing beside `import torch`, and matplotlib, ipywidgets and
numba are imported only by those who use them.
"""

import lazy_loader

__version__ = "3.0.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
