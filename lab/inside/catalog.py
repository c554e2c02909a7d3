"""First boot: catalog, service users, and the project `bosh` with its unprivileged user.  Needs Keystone."""
import openstack

SERVICES = (   # type, name, address
    ('placement', 'placement', 'http://127.0.0.1:8778'),
    ('image', 'glance', 'http://127.0.0.1:9292'),
    ('network', 'neutron', 'http://127.0.0.1:9696'),
    ('compute', 'nova', 'http://127.0.0.1:8774/v2.1'),
    ('volumev3', 'cinderv3', 'http://127.0.0.1:8776/v3/$(project_id)s'),
    ('block-storage', 'cinder', 'http://127.0.0.1:8776/v3/$(project_id)s'),
    ('load-balancer', 'octavia', 'http://127.0.0.1:9876'),
)
USERS = ('placement', 'glance', 'neutron', 'nova', 'cinder', 'octavia')

identity = openstack.connect(auth_url='http://127.0.0.1:5000/v3', username='admin', password='admin', project_name='admin',
                             user_domain_name='Default', project_domain_name='Default', region_name='RegionOne').identity
roles = {role.name: role for role in identity.roles()}
for name in ('service', 'load-balancer_member'):
    if name not in roles:
        roles[name] = identity.create_role(name=name)

service_project = identity.create_project(name='service', domain_id='default')
for name in USERS:
    user = identity.create_user(name=name, password='lab', domain_id='default')
    for role in ('admin', 'service'):
        identity.assign_project_role_to_user(service_project, user, roles[role])
for kind, name, url in SERVICES:
    service = identity.create_service(type=kind, name=name)
    for interface in ('public', 'internal', 'admin'):
        identity.create_endpoint(service_id=service.id, interface=interface, url=url, region_id='RegionOne')

project = identity.create_project(name='bosh', domain_id='default')
user = identity.create_user(name='bosh', password='bosh', domain_id='default', default_project_id=project.id)
for role in ('member', 'load-balancer_member'):
    identity.assign_project_role_to_user(project, user, roles[role])
identity.assign_project_role_to_user(project, identity.find_user('admin'), roles['admin'])
