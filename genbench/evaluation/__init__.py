"""What a trained model, a control or a folder is worth: samples, and the numbers that are measured on them."""
