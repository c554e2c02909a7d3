#!/usr/bin/env python3
"""Serves an API that comes as a WSGI application:   wsgi.py PORT SCRIPT ARG...

SCRIPT is one of those that OpenStack installs for uWSGI and mod_wsgi; it defines `application`.  This is enough for a lab,
and the launcher can start it.
"""
import eventlet
eventlet.monkey_patch()     # nothing to do if the launcher did it

import os
import runpy
import sys

from eventlet import wsgi

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'python'))     # Octavia's provider driver
port, sys.argv = int(sys.argv[1]), sys.argv[2:]
application = runpy.run_path(sys.argv[0])['application']
# Connections are not kept: clients that reuse one saw it reset now and then.
wsgi.server(eventlet.listen(('127.0.0.1', port), backlog=128), application, keepalive=False, url_length_limit=65536,
            log_output=bool(os.environ.get('LAB_DEBUG')))
