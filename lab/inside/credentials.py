#!/usr/bin/env python3
"""First boot: what a BOSH operator has in a project of their own, and the files that give access to it.

Runs inside the lab as the unprivileged project user.  Writes clouds.yaml, cpi.json, cpi-application-credential.json and
bosh.pem into the instance's folder.  They belong to the template: ids and secrets in them are stored in its databases.
"""
import json
import os

import openstack

URL = 'http://127.0.0.1:5000/v3'
STATE = os.environ['LAB_STATE']
bosh = openstack.connect(auth_url=URL, username='bosh', password='bosh', project_name='bosh', region_name='RegionOne',
                         user_domain_name='Default', project_domain_name='Default')


def write(name, text):
    path = os.path.join(STATE, name)
    with open(os.open(path + '.new', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w') as f:
        f.write(text)
    os.rename(path + '.new', path)


def security_group(name, description, *rules):
    group = bosh.network.create_security_group(name=name, description=description)
    for ethertype, protocol, extra in rules:
        bosh.network.create_security_group_rule(security_group_id=group.id, direction='ingress', ethertype=ethertype,
                                                protocol=protocol, **{k: v or group.id for k, v in extra.items()})
    return group


ANY, MEMBERS = {}, {'remote_group_id': None}
security_group('bosh', 'ICMP, TCP and UDP from anywhere; not VRRP',
               ('IPv4', 'icmp', ANY), ('IPv6', 'ipv6-icmp', ANY), ('IPv4', 'tcp', ANY), ('IPv6', 'tcp', ANY),
               ('IPv4', 'udp', ANY), ('IPv6', 'udp', ANY))
security_group('vrrp', 'VRRP (protocol 112) among its members',
               ('IPv4', '112', MEMBERS), ('IPv6', '112', MEMBERS))

if bosh.compute.find_keypair('bosh'):
    bosh.compute.delete_keypair('bosh')
write('bosh.pem', bosh.compute.create_keypair(name='bosh').private_key)

user = bosh.current_user_id
for old in bosh.identity.application_credentials(user):
    if old.name == 'bosh':
        bosh.identity.delete_application_credential(user, old)
credential = bosh.identity.create_application_credential(user, 'bosh')

write('clouds.yaml', '''# Clouds of the lab, for openstacksdk, Terraform and standfast; 127.0.0.1 is the lab's: run with lab/exec.
clouds:
  lab:
    region_name: RegionOne
    auth:
      auth_url: %(url)s
      username: bosh
      password: bosh
      project_name: bosh
      user_domain_name: Default
      project_domain_name: Default
  lab-application-credential:
    region_name: RegionOne
    auth_type: v3applicationcredential
    auth:
      auth_url: %(url)s
      application_credential_id: "%(id)s"
      application_credential_secret: "%(secret)s"
  lab-admin:
    region_name: RegionOne
    auth:
      auth_url: %(url)s
      username: admin
      password: admin
      project_name: admin
      user_domain_name: Default
      project_domain_name: Default
''' % {'url': URL, 'id': credential.id, 'secret': credential.secret})


def cpi(**authentication):
    """What the templates of the job openstack_cpi render."""
    properties = {'auth_url': URL, **authentication, 'project': 'bosh', 'domain': 'Default', 'region': 'RegionOne',
                  'endpoint_type': 'publicURL', 'state_timeout': 300, 'wait_resource_poll_interval': 1,
                  'default_key_name': 'bosh', 'default_security_groups': ['bosh'], 'boot_from_volume': False,
                  'stemcell_public_visibility': False, 'config_drive': 'disk', 'use_dhcp': False,
                  'use_nova_networking': False, 'ignore_server_availability_zone': False,
                  'human_readable_vm_names': False, 'connection_options': {}}
    return json.dumps({'cloud': {'plugin': 'openstack', 'properties': {
        'openstack': properties,
        'agent': {'ntp': [], 'mbus': 'nats://nats:nats-password@10.10.0.1:4222'},
        'registry': {'endpoint': 'http://127.0.0.1:6901', 'user': 'registry', 'password': 'registry-password',
                     'address': '127.0.0.1'}}}}, indent=2) + '\n'


write('cpi.json', cpi(username='bosh', api_key='bosh'))
write('cpi-application-credential.json', cpi(application_credential_id=credential.id,
                                             application_credential_secret=credential.secret))
