"""What is asked and what may be answered: wordings, answer spaces, levels, the loss of an answer.

Knows token ids and numbers; imports neither features nor models.
"""
