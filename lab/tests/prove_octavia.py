#!/usr/bin/env python3
"""Octavia's API: a load balancer with listener, pool, monitor and members becomes ACTIVE and goes, as the user sees it."""
import os

from labtest import *   # noqa: F403

balancing = cloud.load_balancer
subnet = network.find_subnet('prov-sub').id


def settled():
    return balancing.get_load_balancer(lb.id).provisioning_status


lb = balancing.create_load_balancer(name=TAG, vip_subnet_id=subnet)
check('a new load balancer is', lb.provisioning_status, 'PENDING_CREATE')
undo(lambda: balancing.find_load_balancer(lb.id) and balancing.delete_load_balancer(lb, cascade=True))
until('the load balancer is', settled, 'ACTIVE')
vip = network.get_port(lb.vip_port_id)
check('its VIP is a port of Neutron with that address', address_of(vip), lb.vip_address)
check('the VIP\'s owner', vip.device_owner, 'Octavia')

hold = STATE + '/octavia-hold'
undo(lambda: os.path.exists(hold) and os.remove(hold))
open(hold, 'w').close()
listener = balancing.create_listener(name=TAG, protocol='TCP', protocol_port=80, loadbalancer_id=lb.id)
refused = None
try:
    balancing.create_pool(name=TAG, protocol='TCP', lb_algorithm='ROUND_ROBIN', listener_id=listener.id)
except Exception as error:
    refused = getattr(error, 'status_code', error)
check('what is asked while it is pending is refused with', refused, 409)
os.remove(hold)
until('the load balancer with a listener is', settled, 'ACTIVE')
pool = balancing.create_pool(name=TAG, protocol='TCP', lb_algorithm='ROUND_ROBIN', listener_id=listener.id)
until('the load balancer with a pool is', settled, 'ACTIVE')
monitor = balancing.create_health_monitor(name=TAG, pool_id=pool.id, type='TCP', delay=5, timeout=3, max_retries=3)
until('the load balancer with a monitor is', settled, 'ACTIVE')
check('the monitor is', balancing.get_health_monitor(monitor.id).provisioning_status, 'ACTIVE')
members = []
for address in ('10.10.0.20', '10.10.0.21'):
    members.append(balancing.create_member(pool, name=address, address=address, protocol_port=8080, subnet_id=subnet))
    until('the load balancer with member %s is' % address, settled, 'ACTIVE')
member = balancing.get_member(members[0], pool)
check('a member is', (member.provisioning_status, member.operating_status), ('ACTIVE', 'NO_MONITOR'))
duplicate = None
try:
    balancing.create_member(pool, address='10.10.0.20', protocol_port=8080, subnet_id=subnet)
except Exception as error:
    duplicate = getattr(error, 'status_code', error)
check('the same member again is refused with', duplicate, 409)
balancing.delete_member(members[0], pool)
until('the load balancer without it is', settled, 'ACTIVE')
check('members left', [m.name for m in balancing.members(pool)], ['10.10.0.21'])

balancing.delete_load_balancer(lb, cascade=True)
until('load balancers left', lambda: balancing.find_load_balancer(lb.id), None)
check('pools left', [p.name for p in balancing.pools(name=TAG)], [])
check('listeners left', [p.name for p in balancing.listeners(name=TAG)], [])
until('its VIP port', lambda: network.find_port(vip.id), None)
done()
