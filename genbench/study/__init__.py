"""Studies that ask people about samples: the page, the answers and their analysis. Nothing here imports torch."""
