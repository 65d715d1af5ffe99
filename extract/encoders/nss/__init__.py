"""Natural-scene statistics: a descriptor of quality without weights."""
