"""How good a trained model, a control or a folder is: samples, and the numbers that are measured on them."""
