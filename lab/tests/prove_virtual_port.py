#!/usr/bin/env python3
"""OVN: a reserved, unbound port that holds the address becomes a *virtual* port and follows the Active.

Neutron makes it one when the ports of servers have its address as a pair; OVN then binds it to the hypervisor and the
port whose gratuitous ARP it saw last.  This needs the pair to be that one address, and the reserved port unbound; its
device_owner does not matter as long as it is nobody OVN knows: it is tried as `standfast reserve` sets it, and empty.
The two servers are on two hypervisors.
"""
import json
import sys

from labtest import *   # noqa: F403

if BACKEND != 'ovn':
    print('only OVN has virtual ports')
    done()
    sys.exit(0)
X = '10.10.0.240'


def ovn(database, table, which, *columns):
    """The row with that uuid, or the one where column=value, as a dict; None if there is none."""
    got = run('ovn-%sctl' % database, '--db=unix:%s/ram/ovs/ovn%s_db.sock' % (STATE, database), '--timeout=10', '--format=json',
              '--columns=' + ','.join(columns), 'find' if '=' in which else 'list', table, which, check_status=True)
    rows = json.loads(got.stdout)['data']
    return {c: dict(v[1]) if isinstance(v, list) and v[0] == 'map' else '' if v == ['set', []] else
            v[1] if isinstance(v, list) else v for c, v in zip(columns, rows[0])} if rows else None


def switch_port():
    return ovn('nb', 'Logical_Switch_Port', 'name=' + reserved.id, 'type', 'options')


def bound():
    """(hypervisor, parent port) that the southbound database has for the reserved port."""
    row = ovn('sb', 'Port_Binding', 'logical_port=' + reserved.id, 'chassis', 'virtual_parent')
    chassis = ovn('sb', 'Chassis', row['chassis'], 'hostname')['hostname'] if row['chassis'] else None
    return chassis, row['virtual_parent'] or None


def announce(namespace):
    inside(namespace, 'arping', '-U', '-c1', '-w1', '-W0.2', '-i', 'eth0', '-S', X, X)


def take(index):
    """What an agent does that becomes Active."""
    inside(servers[1 - index], 'ip', 'addr', 'flush', 'to', X, 'dev', 'eth0')
    inside(servers[index], 'ip', 'addr', 'add', X + '/32', 'dev', 'eth0')
    announce(servers[index])


group = security_group(('IPv4', 'icmp', {}))
ports = [port(group) for _ in range(2)]
together = compute.create_server_group(name=TAG, policy='anti-affinity')
undo(compute.delete_server_group, together)
# One after the other: Nova checks the group late, and of two that start at once both may have to go elsewhere.
booting = [boot(name, p, scheduler_hints={'group': together.id}) for name, p in zip('ab', ports)]
servers = [namespace_of(server) for server in booting]
hosts = [json.load(open('%s/ram/nova/instances/%s/vm.json' % (STATE, server.id)))['host'] for server in booting]
check('the servers are on both hypervisors', sorted(hosts), ['lab1', 'lab2'])

for owner in ('vrrp:reserved', ''):
    print('---- device_owner %r' % owner)
    reserved = network.create_port(network_id=ports[0].network_id, name=TAG + '-vip', fixed_ips=[{'ip_address': X}],
                                   device_owner=owner, security_groups=[group.id])
    network.set_tags(reserved, ['standfast', 'vrrp-vip'])
    try:
        check('before there is a pair, the reserved port is of type', switch_port()['type'], '')
        for p in ports:
            pairs(p, {'ip_address': X})
        until('with the pairs the reserved port is of type', lambda: switch_port()['type'], 'virtual')
        options = switch_port()['options']
        check('its address', options.get('virtual-ip'), X)
        check('its parents', sorted(options.get('virtual-parents', '').split(',')), sorted(p.id for p in ports))
        check('before anybody announces the address it is bound to', bound(), (None, None))
        for index in (0, 1, 0):
            take(index)
            until('%s announces the address: bound to' % 'AB'[index], bound, (hosts[index], ports[index].id))
            until('%s has the address: it answers' % 'AB'[index], lambda: ping('cli', X))
        now = network.get_port(reserved.id)
        check('Neutron has the reserved port as before', (now.device_owner, address_of(now)), (owner, X))

        pairs(ports[1])
        until('without the pair B is no parent any more', lambda: switch_port()['options'].get('virtual-parents'), ports[0].id)
        take(1)
        for _ in range(10):
            announce(servers[1])
        check('B without a pair announces: bound to', bound(), (hosts[0], ports[0].id))
        check('B without a pair has the address: it answers', ping('cli', X), False)
    finally:
        for p in ports:
            pairs(p)
        network.delete_port(reserved)
        inside(servers[1], 'ip', 'addr', 'flush', 'to', X, 'dev', 'eth0')
done()
