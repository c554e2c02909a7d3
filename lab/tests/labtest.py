"""What the lab's tests have in common: a cloud, servers, commands in their namespaces, checks that are counted.

A test is a program that runs inside the lab, as the unprivileged user:   lab/exec lab/tests/prove.py
It deletes what it made, also when it fails, and exits with 1 if a check failed.
"""
import atexit
import os
import subprocess
import sys
import time

import openstack

BACKEND = os.environ['LAB_BACKEND']
STATE = os.environ['LAB_STATE']
INSIDE = os.path.join(os.environ['LAB'], 'inside')
TESTS = os.path.dirname(os.path.abspath(__file__))
T0 = time.time()
TAG = '%s-%d' % (os.path.splitext(os.path.basename(sys.argv[0]))[0], os.getpid())   # of all names

cloud = openstack.connect(auth_url='http://127.0.0.1:5000/v3', username='bosh', password='bosh', project_name='bosh',
                          user_domain_name='Default', project_domain_name='Default', region_name='RegionOne')
network, compute, image = cloud.network, cloud.compute, cloud.image
failures = []
_undo = []


def say(text):
    print('     [%5.1f s] %s' % (time.time() - T0, text), flush=True)


def check(what, got, want):
    if got != want:
        failures.append(what)
    print('%s %s: %r%s' % ('ok  ' if got == want else 'FAIL', what, got, '' if got == want else ', not %r' % (want,)), flush=True)


def until(what, condition, want=True, limit=40.0):
    """Checks that condition() becomes `want` within `limit` seconds, and says after how many."""
    start = time.time()
    while True:
        got = condition()
        if got == want or time.time() - start > limit:
            break
        time.sleep(0.1)
    check('%s (%.1f s)' % (what, time.time() - start), got, want)
    return got == want


def undo(function, *arguments, **keywords):
    """Called at the end, last first, whatever happens."""
    _undo.append((function, arguments, keywords))


def run(*command, check_status=False):
    return subprocess.run(command, capture_output=True, text=True, check=check_status)


def inside(namespace, *command):
    return run('ip', 'netns', 'exec', namespace, *command)


def ping(namespace, address):
    """One echo, with a fresh resolution of the address."""
    inside(namespace, 'ip', 'neigh', 'flush', 'all')
    return inside(namespace, 'ping', '-c1', '-W1', address).returncode == 0


def security_group(*rules):
    """A group of its own with ingress rules (ethertype, protocol, {more})."""
    group = network.create_security_group(name=TAG)
    undo(network.delete_security_group, group)
    for ethertype, protocol, more in rules:
        network.create_security_group_rule(security_group_id=group.id, direction='ingress', ethertype=ethertype,
                                           protocol=protocol, **more)
    return group


def port(group=None, net='prov', **more):
    more.setdefault('name', TAG)
    if group is not None:
        more['security_groups'] = [group.id]
    made = network.create_port(network_id=network.find_network(net).id, **more)
    undo(network.delete_port, made)
    return made


def pairs(of, *wanted):
    network.update_port(of, allowed_address_pairs=list(wanted))


def boot(name, *ports, wait=True, **more):
    """A server on these ports; delete_server comes before delete_port at the end."""
    more.setdefault('flavor_id', compute.find_flavor('m1.tiny').id)
    if 'block_device_mapping' not in more:
        more.setdefault('image_id', image.find_image('tiny-raw').id)
    server = compute.create_server(name='%s-%s' % (TAG, name), networks=[{'port': p.id} for p in ports], **more)
    undo(delete_server, server)
    return up(server) if wait else server


def up(server):
    server = compute.wait_for_server(server, wait=180)
    say('server %s %s' % (server.name, server.status))
    return server


def delete_server(server):
    compute.delete_server(server, ignore_missing=True)
    compute.wait_for_delete(server, wait=120)


def namespace_of(server):
    return 'vm-' + server.id


def address_of(of):
    return of.fixed_ips[0]['ip_address']


@atexit.register
def _end():
    left = 0
    for function, arguments, keywords in reversed(_undo):
        try:
            function(*arguments, **keywords)
        except Exception as error:      # the next ones have to be tried as well
            left += 1
            print('FAIL left behind, %s: %s' % (getattr(function, '__name__', function), error), flush=True)
    print('%s on %s: %d failed%s, %.0f s' % (os.path.basename(sys.argv[0]), BACKEND, len(failures) + left,
                                             '' if _finished else ', and it did not get through', time.time() - T0), flush=True)
    if failures or left or not _finished:
        sys.stdout.flush()
        os._exit(1)


_finished = False


def done():
    """The last line of each test: without it the test did not get through."""
    global _finished
    _finished = True
