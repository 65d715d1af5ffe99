"""What keeps a store healthy: verify, repair, compact, remove what nobody needs, tell two sets apart."""
