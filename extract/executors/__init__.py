"""Who carries an extraction out: this process, or some that lease lots, launched here or on a Ray cluster."""
