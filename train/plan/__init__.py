"""What a training would read, hold, compute and take: from settings and labels, without any weights."""
