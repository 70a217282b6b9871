"""The room of `rh.explore()`, the panel in which FP32 and INT8 can be compared by hand.

`measurement` measures one choice and knows no widget; `page` and `plots` show it; `controls` are
the widgets that choose, and `panel` ties all of them together.
"""
