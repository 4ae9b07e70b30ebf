"""What is stored on disk, and the statistics over it. No module here imports torch."""
