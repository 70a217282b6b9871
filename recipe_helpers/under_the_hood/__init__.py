"""The room of `under_the_hood.ipynb`: quantization by hand, and where errors and speed come from.

Read `by_hand` (what torch.ao computes), `schemes` (what each choice of design costs in accuracy),
`causes_of_speed`, and `planes_and_tiles` (how the kernel multiplies, and what that brings). `plots`
has the figures.
"""
