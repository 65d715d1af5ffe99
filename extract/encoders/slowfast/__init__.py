"""SlowFast-R50 (Feichtenhofer et al., arXiv 1812.03982): maps of both pathways, and VQA²'s motion tokens."""
