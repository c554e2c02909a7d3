#!/usr/bin/env python3
"""Two hypervisors: a server group keeps servers apart, and what they say crosses the wire.  And what runs in a server."""
import json
import os
import stat
import subprocess
import sys

from labtest import *   # noqa: F403

group = security_group(('IPv4', 'icmp', {}))
rule = network.create_security_group_rule(security_group_id=group.id, direction='ingress', ethertype='IPv4', protocol='112',
                                          remote_group_id=group.id)
apart = compute.create_server_group(name=TAG, policy='anti-affinity')
undo(compute.delete_server_group, apart)

# The hook runs in every server that starts meanwhile, ours and others'.
hook = STATE + '/hooks/vm-up'
if os.path.exists(hook):
    print('FAIL %s exists: somebody uses the lab' % hook)
    sys.exit(1)
os.makedirs(os.path.dirname(hook), exist_ok=True)
with open(hook, 'w') as f:
    f.write('#!/bin/sh\necho "hook $1"; cp /run/server/configdrive/openstack/latest/user_data /opt/from-hook\nsleep 1000\n')
os.chmod(hook, os.stat(hook).st_mode | stat.S_IXUSR)
undo(os.remove, hook)

ports = [(port(group), port(group, 'private')) for _ in range(2)]
# One after the other: Nova checks the group late, and of two that start at once both may have to go elsewhere.
servers = [boot(name, *p, scheduler_hints={'group': apart.id}, config_drive=True, user_data='SGVsbG8=')
           for name, p in zip('ab', ports)]
a, b = map(namespace_of, servers)


def described(server):
    with open('%s/ram/nova/instances/%s/vm.json' % (STATE, server.id)) as f:
        return json.load(f)


check('the servers are on', sorted(described(s)['host'] for s in servers), ['lab1', 'lab2'])
check('the user sees two hosts', len({compute.get_server(s.id).hypervisor_hostname or compute.get_server(s.id).host_id for s in servers}), 2)
until('A reaches B on the flat network', lambda: ping(a, address_of(ports[1][0])))
until('A reaches B through the tunnel of the tenant network', lambda: ping(a, address_of(ports[1][1])))
received = subprocess.Popen(['ip', 'netns', 'exec', b, sys.executable, TESTS + '/vrrp_receive.py', 'eth0', '8', '4'],
                            stdout=subprocess.PIPE, text=True)
received.stdout.readline()
inside(a, sys.executable, TESTS + '/vrrp_send.py', 'eth0', address_of(ports[0][0]), '8')
check('VRRP crosses, adverts', int(received.communicate()[0]), 8)

third = boot('c', port(group), wait=False, scheduler_hints={'group': apart.id})


def third_status():
    return compute.get_server(third.id).status


until('a third server has no hypervisor left', third_status, 'ERROR')


# what runs in a server
def guest(server, *command):
    return run(INSIDE + '/in-vm', server.id, *command).stdout.strip()


until('the hook read the user data', lambda: guest(servers[0], 'cat', '/opt/from-hook'), 'Hello')
check('what it wrote is the server\'s own', os.path.exists('/opt/from-hook') or guest(servers[1], 'cat', '/opt/from-hook') != 'Hello', False)
check('the server\'s name', guest(servers[0], 'hostname'), servers[0].id.split('-')[0])
check('the hook\'s output is the console', compute.get_server_console_output(servers[0])['output'].strip(), 'hook ' + servers[0].id)
check('processes of a server are its own', guest(servers[0], 'sh', '-c', 'ps -e | grep -c sleep'), '1')
compute.stop_server(servers[0])
until('a stopped server', lambda: compute.get_server(servers[0].id).status, 'SHUTOFF')
check('its processes', run('ip', 'netns', 'pids', a).stdout, '')
done()
