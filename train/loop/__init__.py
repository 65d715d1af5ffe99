"""The training loop: steps, processes, validation, and what a person sees of them."""
