"""What is wrong when: eight dimensions of quality, second by second."""
