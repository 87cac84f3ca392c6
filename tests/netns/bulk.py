#!/usr/bin/python3
"""bulk.py PORT PACE: requests to the API from inside a namespace, many over one connection; PACE a second, 0: one after the other.
First line of stdin: the token. Then one JSON array a line: [method, path, body]. For each the answer's JSON, a line each;
ends with status 1 at the first that is not 2xx."""
import http.client
import json
import sys
import time

connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
headers = {"Authorization": f"Bearer {sys.stdin.readline().strip()}", "Content-Type": "application/json"}
pace, begin = float(sys.argv[2]), time.monotonic()
for number, line in enumerate(sys.stdin):
    if pace:
        time.sleep(max(0.0, begin + number / pace - time.monotonic()))
    method, path, body = json.loads(line)
    connection.request(method, "/client/v4" + path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    print(" ".join(text.split()))
    if answer.status // 100 != 2:
        sys.exit(f"{method} {path}: {answer.status} {text}")
