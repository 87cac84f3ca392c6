#!/usr/bin/python3
"""scale.py [TUNNELS [CHILD_LIFETIME]]: tests/netns/scaling.py with ten thousand tunnels, rekeyed by their lifetime."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
import scaling

count, lifetime = ([int(word) for word in sys.argv[1:]] + [10000, 600][len(sys.argv) - 1:])[:2]
scaling.run(count, lifetime, seconds_after_kill=90)  # longer than it takes to find a dead peer
