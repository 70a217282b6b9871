"""The ground floor, which every room stands on and which stands on none.

`errors` and `checks` refuse bad input in one sentence; `language` says what is shown in English or
in Korean; `settings` changes PyTorch's global settings for a while and puts them back; `tables` is
how results show themselves, `intervals` how surely a mean is known; `progress` says how far a long
piece of work is; `plots` is what all figures have in common; `int8` has the library's names,
`onnx_runtime` the same models in ONNX Runtime, to compare with.
"""
