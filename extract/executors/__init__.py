"""Who carries an extraction out: this process, or workers that lease lots, launched here or by Ray."""
