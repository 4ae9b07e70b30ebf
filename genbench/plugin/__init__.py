"""What a plugin is made of: the hooks, the model it builds, how it is found, loaded and identified, and its options."""
