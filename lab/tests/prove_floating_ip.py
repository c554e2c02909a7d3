#!/usr/bin/env python3
"""A tenant network behind a router: DHCP by Neutron, a floating IP reached from outside and the way back."""
from labtest import *   # noqa: F403

group = security_group(('IPv4', 'icmp', {}))
behind = port(group, 'private')
vm = namespace_of(boot('a', behind, metadata={'lab_noip': '1'}))
address = address_of(behind)


def lease():
    said = inside(vm, 'busybox', 'udhcpc', '-i', 'eth0', '-n', '-q', '-t', '3', '-T', '1', '-s', '/bin/true').stderr
    return said.split('lease of ')[1].split()[0] if 'lease of ' in said else None


until('the DHCP lease is the port\'s address', lease, address)
inside(vm, 'ip', 'addr', 'add', address + '/24', 'dev', 'eth0')
inside(vm, 'ip', 'route', 'add', 'default', 'via', '10.20.0.1')
floating = network.create_ip(floating_network_id=network.find_network('public').id, port_id=behind.id)
undo(network.delete_ip, floating)
until('the floating IP answers', lambda: ping('world', floating.floating_ip_address))
check('the server reaches the world', ping(vm, '172.24.0.1'), True)
done()
