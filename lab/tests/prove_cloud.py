#!/usr/bin/env python3
"""Every family of requests that a BOSH CPI makes, as the unprivileged user: image, server, disk, snapshot, and the end."""
import base64
import json
import os
import tempfile
import time

from labtest import *   # noqa: F403

volumes = cloud.block_storage


def status_of(get, thing):
    return lambda: get(thing.id).status


def gone(find, thing):
    return lambda: find(thing.id, ignore_missing=True) is None


with tempfile.NamedTemporaryFile() as file:
    file.write(os.urandom(1 << 20))
    file.flush()
    stemcell = cloud.create_image(TAG, filename=file.name, disk_format='raw', container_format='bare', wait=True,
                                  meta={'hw_disk_bus': 'virtio', 'os_type': 'linux', 'version': '1.0'})
undo(image.delete_image, stemcell.id)
check('an uploaded image is', stemcell.status, 'active')
key = compute.create_keypair(name=TAG)
undo(compute.delete_keypair, key)
apart = compute.create_server_group(name=TAG, policy='soft-anti-affinity')
undo(compute.delete_server_group, apart)
group = security_group(('IPv4', 'tcp', {}), ('IPv4', '112', {}))
first = port(group, fixed_ips=[{'ip_address': '10.10.0.150'}], allowed_address_pairs=[{'ip_address': '10.10.0.251'}])
second = port(group, 'private')
data = base64.b64encode(json.dumps({'registry': {'endpoint': 'x'}}).encode()).decode()
server = boot('a', first, second, image_id=stemcell.id, flavor_id=compute.find_flavor('m1.small').id, key_name=key.name,
              availability_zone='nova', config_drive=True, user_data=data, metadata={'deployment': 'd'},
              scheduler_hints={'group': apart.id})
check('a server with two NICs, zone, hint and config drive is', server.status, 'ACTIVE')
folder = '%s/ram/nova/instances/%s' % (STATE, server.id)
with open(folder + '/configdrive/openstack/latest/user_data') as f:
    check('its user data', json.load(f), {'registry': {'endpoint': 'x'}})
with open(folder + '/configdrive/openstack/latest/network_data.json') as f:
    links = json.load(f)['links']
check('its network data has both MACs', sorted(x['ethernet_mac_address'] for x in links), sorted((first.mac_address, second.mac_address)))
compute.set_server_metadata(server, job='web')
check('its metadata', dict(compute.get_server(server.id).metadata), {'deployment': 'd', 'job': 'web'})
for kind in ('SOFT', 'HARD'):
    compute.reboot_server(server, kind)
    time.sleep(1)
    until('after a reboot (%s) it is' % kind, status_of(compute.get_server, server), 'ACTIVE')
compute.stop_server(server)
until('stopped it is', status_of(compute.get_server, server), 'SHUTOFF')
compute.start_server(server)
until('started it is', status_of(compute.get_server, server), 'ACTIVE')

disk = volumes.create_volume(size=1, name=TAG, volume_type='fast', availability_zone='nova', metadata={'a': 'b'})
undo(lambda: (volumes.delete_volume(disk), volumes.wait_for_delete(disk)))
until('a volume is', status_of(volumes.get_volume, disk), 'available')
volumes.set_volume_metadata(disk, x='y')
volumes.extend_volume(disk, 2)
until('extended it has', lambda: (volumes.get_volume(disk.id).status, volumes.get_volume(disk.id).size), ('available', 2))
compute.create_volume_attachment(server, volume_id=disk.id)
until('attached it is', status_of(volumes.get_volume, disk), 'in-use')
check('Nova says it is', [bool(x.device) for x in compute.volume_attachments(server)], [True])
snapshots = []
for name in ('first', 'second'):
    snapshots.append(volumes.create_snapshot(volume_id=disk.id, name=TAG + name, is_forced=True, metadata={'m': 'n'}))
    until('the %s snapshot while attached is' % name, status_of(volumes.get_snapshot, snapshots[-1]), 'available')
for snapshot in snapshots:
    volumes.delete_snapshot(snapshot)
    until('a snapshot deleted while attached is gone', gone(volumes.find_snapshot, snapshot), limit=90)
compute.delete_volume_attachment(server, disk)
until('detached it is', status_of(volumes.get_volume, disk), 'available')
from_image = volumes.create_volume(size=1, name=TAG, image_id=stemcell.id)
undo(lambda: (volumes.delete_volume(from_image), volumes.wait_for_delete(from_image)))
until('a volume from the image is', status_of(volumes.get_volume, from_image), 'available')
root = boot('b', port(group), block_device_mapping=[{'uuid': stemcell.id, 'source_type': 'image', 'destination_type': 'volume',
                                                     'volume_size': 1, 'boot_index': 0, 'delete_on_termination': True}])
check('a server booted from a volume is', root.status, 'ACTIVE')
delete_server(root)
until('volumes left of it', lambda: [v.name for v in volumes.volumes() if v.id not in (disk.id, from_image.id) and v.name == ''], [])
done()
