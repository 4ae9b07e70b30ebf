"""The training of a model: the loop, its precision, graphs and compilation, its checkpoint, and its cost."""
