#!/usr/bin/env python3
"""Waits until services are ready, and says which is not and where its log is.

    ready.py NAME...     these answer on their port (or run, where they have none)
    ready.py --api       everything with a port answers
    ready.py --all       that, and every agent and service without a port has reported since this program began
    ready.py --status    what is not ready now, without waiting

Exit code 0: ready.  1: not in time, or a process ended.
"""
import os
import socket
import subprocess
import sys
import time

STATE = os.environ['LAB_STATE']
INSIDE = os.path.join(os.environ['LAB'], 'inside')
T0 = float(os.environ.get('LAB_T0') or time.time())
PORTS = {'mariadb': 3306, 'rabbit': 5672, 'keystone': 5000, 'placement': 8778, 'neutron': 9696, 'glance': 9292,
         'nova-api': 8774, 'cinder-api': 8776, 'octavia': 9876}
# Who reports how: (table, name in it, host)
REPORTS = {'lbagent': ('neutron', 'Linux bridge agent', 'lab1'), 'lbagent-lab2': ('neutron', 'Linux bridge agent', 'lab2'),
           'dhcp': ('neutron', 'DHCP agent', 'lab1'), 'l3': ('neutron', 'L3 agent', 'lab1'),
           'nova-compute': ('nova', 'nova-compute', 'lab1'), 'nova-compute-lab2': ('nova', 'nova-compute', 'lab2'),
           'nova-conductor': ('nova', 'nova-conductor', 'lab1'), 'nova-scheduler': ('nova', 'nova-scheduler', 'lab1'),
           'cinder-volume': ('cinder', 'cinder-volume', 'lab1@nfs'), 'cinder-scheduler': ('cinder', 'cinder-scheduler', 'lab1')}
QUERIES = {'neutron': 'select agent_type, host, heartbeat_timestamp from neutron.agents',
           'nova': 'select `binary`, host, coalesce(last_seen_up, updated_at) from nova.services where deleted = 0',
           'cinder': 'select `binary`, host, updated_at from cinder.services where deleted = 0'}
PATIENCE = float(os.environ.get('LAB_PATIENCE') or 300)     # seconds without anything having become ready


def names():
    return subprocess.run([INSIDE + '/svc', 'list'], capture_output=True, text=True, check=True).stdout.split()


def log_of(name):
    return '%s/log/%s.log' % (STATE, name)


def last_error(name):
    """The last line of the log that looks like one, else the last line."""
    try:
        with open(log_of(name), errors='replace') as f:
            lines = [line.strip() for line in f.readlines()[-400:] if line.strip()]
    except OSError:
        return 'no log'
    errors = [line for line in lines if 'ERROR' in line or 'rror:' in line]
    return (errors or lines or ['empty log'])[-1][:300]


def running(name):
    try:
        with open('%s/pid/%s' % (STATE, name)) as f:
            return os.path.exists('/proc/' + f.read().strip())
    except OSError:
        return False


def answers(port):
    with socket.socket() as s:
        s.settimeout(2)
        return s.connect_ex(('127.0.0.1', port)) == 0


class Reports:
    """Heartbeats as the services' own tables have them."""

    def __init__(self, since_now):
        import pymysql      # of the lab's venv; the first boot waits for the database before it is there
        self.cursor = pymysql.connect(host='127.0.0.1', user='root', autocommit=True).cursor()
        self.cursor.execute('select utc_timestamp()' if since_now else 'select utc_timestamp() - interval 30 second')
        self.since = self.cursor.fetchone()[0]

    def missing(self, wanted):
        seen = {}
        for table in {REPORTS[name][0] for name in wanted if name in REPORTS}:
            self.cursor.execute(QUERIES[table])
            seen.update({(table, what, host): when for what, host, when in self.cursor.fetchall()})
        missing = [n for n in wanted if n in REPORTS and not (seen.get(REPORTS[n]) and seen[REPORTS[n]] >= self.since)]
        # the scheduler sends nothing to a hypervisor that it has not discovered
        self.cursor.execute('select host from nova_api.host_mappings')
        mapped = {host for host, in self.cursor.fetchall()}
        return missing + [n for n in wanted if n.startswith('nova-compute') and n not in missing and REPORTS[n][2] not in mapped]


def main(arguments):
    everything = names()
    watch_reports = '--all' in arguments or '--status' in arguments
    if watch_reports:
        wanted = everything
    elif '--api' in arguments:
        wanted = [name for name in everything if name in PORTS]
    else:
        wanted = arguments
    reports, waiting, changed = None, None, time.time()
    while True:
        dead = [name for name in wanted if not running(name)]
        missing = [name for name in wanted if name in PORTS and not answers(PORTS[name])]
        if not os.path.exists(STATE + '/ram/launcher.sock'):
            missing.append('launcher')
        if watch_reports and 'mariadb' not in missing + dead:
            reports = reports or Reports('--all' in arguments)
            missing += reports.missing(wanted)
        missing = [name for name in wanted if name in missing or name in dead]
        if missing != waiting:
            waiting, changed = missing, time.time()
            if missing and watch_reports and '--all' in arguments:
                print('  [%3d s] waiting for %s' % (time.time() - T0, ', '.join(missing)), flush=True)
        if not missing:
            return 0
        if dead or '--status' in arguments or time.time() - changed > PATIENCE:
            for name in missing if '--status' in arguments else dead or missing:
                what = 'has ended' if name in dead else 'is not ready'
                print('lab: %s %s\n     log: %s\n     last: %s' % (name, what, log_of(name), last_error(name)),
                      file=sys.stderr)
            return 1
        time.sleep(0.2)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
