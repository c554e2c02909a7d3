"""Nova virt driver of the lab: a server is a network namespace, everything else is Nova's own FakeDriver.

For each Neutron port the driver does what os-vif does: for vif_type=bridge a tap<port[:11]> in brq<net[:11]>, for
vif_type=ovs a tap<port[:11]> in br-int with external_ids:iface-id.  The other end is ethN in the namespace
vm-<instance uuid>, with the port's MAC and fixed addresses and nothing else.  Neutron's agent or OVN then programs
anti-spoofing and security groups on the tap exactly as for a QEMU guest, and the driver waits for Neutron's
network-vif-plugged event before the server becomes ACTIVE.

Two nova-computes run beside each other; $LAB_HOST tells which hypervisor's bridges a server is plugged into: lab1's
are in the lab's own namespace, lab2's in the namespace of that name.

A server's folder is <state_path>/instances/<uuid>/:
  vm.json        name, netns, host, power, vifs, volumes
  configdrive/   what a guest reads from its config drive: openstack/latest/user_data, meta_data.json, network_data.json
  hook.log       what the hook said; it is the server's console output
Server metadata lab_noip=1: addresses are not configured (the guest's own agent does it).
If $LAB_STATE/hooks/vm-up is executable, it is started as the server's pid 1; see ../guest.
"""
import glob
import json
import os
import shutil
import signal
import subprocess

import eventlet
from oslo_log import log as logging

from nova.api.metadata import base as md_base
from nova.compute import power_state
import nova.conf
from nova import exception
from nova.virt import driver as virt_driver
from nova.virt import fake
from nova.volume import cinder

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)
INSIDE = os.path.join(os.environ['LAB'], 'inside')
STATE = os.environ['LAB_STATE']
HOST = os.environ.get('LAB_HOST', 'lab1')
ON_HOST = [] if HOST == 'lab1' else ['-n', HOST]    # of `ip`: where the hypervisor's interfaces are
OVS = STATE + '/ram/ovs/'
OVSDB = OVS + ('' if HOST == 'lab1' else HOST + '/') + 'db.sock'


def sh(*cmd, check=True):
    r = subprocess.run(cmd, capture_output=True, text=True)
    if check and r.returncode:
        raise exception.InternalError('%s: %s' % (' '.join(cmd), r.stderr.strip()))
    return r.stdout


def host_ip(*arguments, check=True):
    return sh('ip', *ON_HOST, *arguments, check=check)


class NetnsDriver(fake.FakeDriverWithoutFakeNodes):
    vcpus, memory_mb, local_gb = 1000, 800000, 600000

    def __init__(self, virtapi, read_only=False):
        super().__init__(virtapi, read_only)
        self._volume_api = cinder.API()

    # ---- state on disk
    def _dir(self, uuid):
        return os.path.join(CONF.instances_path, uuid)

    def _load(self, uuid):
        try:
            with open(self._dir(uuid) + '/vm.json') as f:
                return json.load(f)
        except FileNotFoundError:
            return None

    def _save(self, vm):
        d = self._dir(vm['uuid'])
        os.makedirs(d, exist_ok=True)
        with open(d + '/vm.json.new', 'w') as f:
            json.dump(vm, f, indent=1)
        os.rename(d + '/vm.json.new', d + '/vm.json')

    def init_host(self, host):
        super().init_host(host)
        os.makedirs(CONF.instances_path, exist_ok=True)
        for p in glob.glob(CONF.instances_path + '/*/vm.json'):
            with open(p) as f:
                vm = json.load(f)
            if vm['host'] != HOST:
                continue
            self.instances[vm['uuid']] = fake.FakeInstance(vm['name'], vm['power'], vm['uuid'])

    # ---- network
    def _plug(self, vm, vif, index, configure):
        ns, tap, dev = vm['netns'], vif['tap'], 'eth%d' % index
        ovs = vif['type'] == 'ovs'
        if not ovs and not host_ip('-o', 'link', 'show', 'dev', vif['bridge'], check=False):
            host_ip('link', 'add', vif['bridge'], 'type', 'bridge', 'forward_delay', '0', 'stp_state', '0',
                    'mcast_snooping', '0', check=False)
            host_ip('link', 'set', vif['bridge'], 'up')
        self._unplug(vif)
        host_ip('link', 'add', tap, 'type', 'veth', 'peer', 'name', dev, 'netns', ns)
        sh('ip', '-n', ns, 'link', 'set', dev, 'address', vif['mac'], 'mtu', str(vif['mtu']))
        host_ip('link', 'set', tap, 'mtu', str(vif['mtu']))
        if configure:
            for a in vif['addresses']:
                sh('ip', '-n', ns, 'addr', 'add', a, 'dev', dev, *(['nodad'] if ':' in a else []))
        sh('ip', '-n', ns, 'link', 'set', dev, 'up')
        if configure and vif['gateway'] and index == 0:
            sh('ip', '-n', ns, 'route', 'add', 'default', 'via', vif['gateway'], check=False)
        if ovs:
            sh('ip', 'netns', 'exec', ns, INSIDE + '/bin/txoff', dev)
            host_ip('link', 'set', tap, 'up')
            self._forget_connections()
            self._vsctl('--may-exist', 'add-port', vif['bridge'], tap, '--', 'set', 'Interface', tap,
                        'external_ids:iface-id=' + vif['id'], 'external_ids:iface-status=active',
                        'external_ids:attached-mac="%s"' % vif['mac'], 'external_ids:vm-uuid=' + vm['uuid'])
        else:
            host_ip('link', 'set', tap, 'master', vif['bridge'], 'up')

    @staticmethod
    def _vsctl(*args):
        sh('ovs-vsctl', '--db=unix:' + OVSDB, '--timeout=20', *args)

    @staticmethod
    def _forget_connections():
        """Open vSwitch 3.1's own connection tracking aborts the process when a packet belongs to a connection that
        has expired and was not yet swept away: what a server that comes back after half a minute, with the address
        it had, provokes at its peers. So nothing that can have expired is kept."""
        for ovs in OVS, OVS + 'lab2/':
            sh('ovs-appctl', '-t', ovs + 'vswitchd.ctl', 'dpctl/flush-conntrack', check=False)

    def _unplug(self, vif):
        if vif['type'] == 'ovs':
            self._vsctl('--if-exists', 'del-port', vif['bridge'], vif['tap'])
        host_ip('link', 'del', vif['tap'], check=False)

    @staticmethod
    def _vif(vif):
        addrs, gw = [], None
        for s in vif['network']['subnets']:
            prefix = s['cidr'].split('/')[1]
            addrs += ['%s/%s' % (i['address'], prefix) for i in s['ips']]
            if s.get('gateway') and s['gateway'].get('address') and not gw and s['version'] == 4:
                gw = s['gateway']['address']
        return {'id': vif['id'], 'mac': vif['address'], 'tap': 'tap' + vif['id'][:11],
                'bridge': vif['network'].get('bridge') or 'brq' + vif['network']['id'][:11],
                'network_id': vif['network']['id'], 'mtu': vif['network'].get_meta('mtu') or 1500,
                'addresses': addrs, 'gateway': gw, 'type': vif['type']}

    def _kill(self, ns):
        for p in sh('ip', 'netns', 'pids', ns, check=False).split():
            try:
                os.kill(int(p), signal.SIGKILL)
            except ProcessLookupError:
                pass

    def _up(self, instance, vm, network_info):
        sh('ip', 'netns', 'add', vm['netns'], check=False)
        sh('ip', '-n', vm['netns'], 'link', 'set', 'lo', 'up')
        configure = (instance.metadata or {}).get('lab_noip') != '1'
        events = [('network-vif-plugged', v['id']) for v in network_info or [] if v.get('active', True) is False]
        try:
            with self.virtapi.wait_for_instance_event(instance, events, deadline=CONF.vif_plugging_timeout or 30):
                for i, vif in enumerate(vm['vifs']):
                    self._plug(vm, vif, i, configure)
        except eventlet.timeout.Timeout:
            LOG.warning('no network-vif-plugged event in time', instance=instance)
            if CONF.vif_plugging_is_fatal:
                raise exception.VirtualInterfaceCreateException()
        vm['power'] = power_state.RUNNING
        self._save(vm)
        hook = STATE + '/hooks/vm-up'
        if os.access(hook, os.X_OK):
            with open(self._dir(vm['uuid']) + '/hook.log', 'ab') as log:
                subprocess.Popen(['ip', 'netns', 'exec', vm['netns'], INSIDE + '/guest', 'start', hook, vm['uuid'],
                                  vm['netns'], self._dir(vm['uuid'])],
                                 stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)

    def _down(self, vm):
        self._kill(vm['netns'])
        for vif in vm['vifs']:
            self._unplug(vif)
        sh('ip', 'netns', 'del', vm['netns'], check=False)

    # ---- life cycle
    def spawn(self, context, instance, image_meta, injected_files, admin_password, allocations,
              network_info=None, block_device_info=None, power_on=True, accel_info=None):
        super().spawn(context, instance, image_meta, injected_files, admin_password, allocations,
                      network_info, block_device_info, power_on, accel_info)
        vm = {'uuid': instance.uuid, 'name': instance.name, 'display_name': instance.display_name,
              'netns': 'vm-' + instance.uuid, 'host': HOST, 'power': power_state.RUNNING, 'metadata': dict(instance.metadata or {}),
              'vifs': [self._vif(v) for v in network_info or []], 'volumes': {}, 'config_drive': instance.config_drive}
        for b in virt_driver.block_device_info_get_mapping(block_device_info):
            vm['volumes'][b['mount_device']] = b['connection_info'].get('data')
        self._save(vm)
        try:
            md = md_base.InstanceMetadata(instance, content=injected_files, network_info=network_info,
                                          extra_md={'admin_pass': admin_password} if admin_password else {})
            for path, data in md.metadata_for_config_drive():
                f = os.path.join(self._dir(instance.uuid), 'configdrive', path)
                os.makedirs(os.path.dirname(f), exist_ok=True)
                with open(f, 'wb') as o:
                    o.write(data if isinstance(data, bytes) else data.encode())
        except Exception:
            LOG.exception('config drive', instance=instance)
        if power_on:     # the hook finds its config drive
            self._up(instance, vm, network_info)

    def destroy(self, context, instance, network_info, block_device_info=None, destroy_disks=True,
                destroy_secrets=True):
        super().destroy(context, instance, network_info, block_device_info, destroy_disks, destroy_secrets)
        vm = self._load(instance.uuid)
        if vm:
            self._down(vm)
            shutil.rmtree(self._dir(instance.uuid), ignore_errors=True)

    def power_off(self, instance, timeout=0, retry_interval=0):
        super().power_off(instance, timeout, retry_interval)
        vm = self._load(instance.uuid)
        self._down(vm)
        vm['power'] = power_state.SHUTDOWN
        self._save(vm)

    def power_on(self, context, instance, network_info, block_device_info=None, accel_info=None):
        super().power_on(context, instance, network_info, block_device_info, accel_info)
        self._up(instance, self._load(instance.uuid), network_info)

    def reboot(self, context, instance, network_info, reboot_type, block_device_info=None,
               bad_volumes_callback=None, accel_info=None):
        vm = self._load(instance.uuid)
        if vm is None:
            return self.spawn(context, instance, instance.image_meta, [], None, None, network_info, block_device_info)
        self._down(vm)
        self.power_on(context, instance, network_info, block_device_info)

    # ---- hot plug
    def attach_interface(self, context, instance, image_meta, vif):
        super().attach_interface(context, instance, image_meta, vif)
        vm = self._load(instance.uuid)
        v = self._vif(vif)
        vm['vifs'].append(v)
        self._plug(vm, v, len(vm['vifs']) - 1, True)
        self._save(vm)

    def detach_interface(self, context, instance, vif):
        self._interfaces.setdefault(vif['id'], vif)
        super().detach_interface(context, instance, vif)
        vm = self._load(instance.uuid)
        self._unplug(self._vif(vif))
        vm['vifs'] = [v for v in vm['vifs'] if v['id'] != vif['id']]
        self._save(vm)

    def attach_volume(self, context, connection_info, instance, mountpoint, disk_bus=None, device_type=None,
                      encryption=None):
        super().attach_volume(context, connection_info, instance, mountpoint, disk_bus, device_type, encryption)
        vm = self._load(instance.uuid)
        vm['volumes'][mountpoint] = connection_info.get('data')
        self._save(vm)

    def detach_volume(self, context, connection_info, instance, mountpoint, encryption=None):
        super().detach_volume(context, connection_info, instance, mountpoint, encryption)
        vm = self._load(instance.uuid)
        if vm:
            vm['volumes'].pop(mountpoint, None)
            self._save(vm)

    # ---- cinder's NFS driver asks nova to snapshot attached volumes; nobody has the file open here
    def volume_snapshot_create(self, context, instance, volume_id, create_info):
        self._volume_api.update_snapshot_status(context, create_info['snapshot_id'], 'creating')

    def volume_snapshot_delete(self, context, instance, volume_id, snapshot_id, delete_info):
        files = glob.glob(os.path.join(CONF.state_path, '../cinder/mnt/*/volume-%s*' % volume_id))
        files = {os.path.basename(f): f for f in files if not f.endswith('.info')}

        def backing(f):
            i = json.loads(sh('qemu-img', 'info', '-U', '--output=json', f))
            return os.path.basename(i.get('backing-filename') or '')

        top, base = delete_info['file_to_merge'], delete_info['merge_target_file']
        if base is None:  # pull into the active file
            active = max(files.values(), key=lambda f: (len(f), os.path.getmtime(f)))
            back = {backing(f) for f in files.values()}
            active = [f for n, f in files.items() if n not in back][0]
            fmt = json.loads(sh('qemu-img', 'info', '-U', '--output=json', files[top]))['format'] if top else ''
            sh('qemu-img', 'rebase', '-f', 'qcow2', *(['-F', fmt] if top else []), '-b', top or '', active)
        else:
            sh('qemu-img', 'commit', '-f', 'qcow2', '-d', '-b', files[base], files[top])
            fmt = json.loads(sh('qemu-img', 'info', '-U', '--output=json', files[base]))['format']
            for f in files.values():
                if backing(f) == top:
                    sh('qemu-img', 'rebase', '-u', '-f', 'qcow2', '-F', fmt, '-b', base, f)
        self._volume_api.update_snapshot_status(context, snapshot_id, 'deleting')

    def get_console_output(self, context, instance):
        try:
            with open(self._dir(instance.uuid) + '/hook.log') as f:
                return f.read()
        except OSError:
            return 'lab network namespace vm-%s\n' % instance.uuid
