"""Questions put to people about samples: the page that asks them, the answers, and what these say. Never torch."""
