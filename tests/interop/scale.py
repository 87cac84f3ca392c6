#!/usr/bin/python3
"""tests/netns/scaling.py with a few hundred tunnels; tests/soak/scale.py has ten thousand."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
import scaling

scaling.run(300, None, seconds_after_kill=4)
