"""Octavia provider `lab`: Octavia's own no-op driver, but objects become ACTIVE.

The no-op driver carries nothing out and reports nothing either, so with it alone every object stays PENDING: it is
made for tests of Octavia that replace the worker as well.  Here a thread of the API process does what a provider's
agent does: when a driver call was made and its transaction is committed, it reports ACTIVE (or DELETED) through
Octavia's own status updater.  VIP ports are real Neutron ports, made by Octavia's API.  No traffic is balanced.

Registered by lab-1.dist-info/entry_points.txt beside this file.
"""
import os
import threading
import time

from octavia.api.drivers.driver_agent import driver_updater
from octavia.api.drivers.noop_driver import driver
from octavia.db import api as db_api
from octavia.db import models
from octavia_lib.api.drivers import exceptions
from oslo_log import log as logging

LOG = logging.getLogger(__name__)

# The updater's word for each kind and the way from one to its load balancer; children before parents, so that a load
# balancer is ACTIVE after all that it holds.
KINDS = (
    ('members', models.Member, lambda row: row.pool.load_balancer),
    ('healthmonitors', models.HealthMonitor, lambda row: row.pool.load_balancer),
    ('l7rules', models.L7Rule, lambda row: row.l7policy.listener.load_balancer),
    ('l7policies', models.L7Policy, lambda row: row.listener.load_balancer),
    ('listeners', models.Listener, lambda row: row.load_balancer),
    ('pools', models.Pool, lambda row: row.load_balancer),
    ('loadbalancers', models.LoadBalancer, lambda row: row),
)


# While this file exists everything stays pending: for tests of what must happen meanwhile.
HOLD = os.path.join(os.environ['LAB_STATE'], 'octavia-hold')


class Reporter(threading.Thread):
    """Looks for pending objects for some seconds after each driver call, until a load balancer was reported."""

    LOOK_EVERY = 0.5    # seconds; what is changed stays pending (immutable) for about as long
    LOOKS = 20

    def __init__(self):
        super().__init__(name='lab-reporter', daemon=True)
        self.called = threading.Event()
        self.start()

    def run(self):
        while True:
            self.called.wait()
            self.called.clear()
            for _ in range(self.LOOKS):
                time.sleep(self.LOOK_EVERY)
                while os.path.exists(HOLD):
                    time.sleep(self.LOOK_EVERY)
                try:
                    if self.report():
                        break
                except Exception:
                    LOG.exception('reporting statuses')

    @staticmethod
    def pending():
        """What is committed and pending, as the updater wants it, one kind after the other."""
        session = db_api.get_session()
        try:
            doomed = {row.id for row in session.query(models.LoadBalancer).filter_by(
                provisioning_status='PENDING_DELETE')}      # with all they hold, where `cascade` was asked for
            for kind, model, load_balancer_of in KINDS:
                found = []
                for row in session.query(model).filter(model.provisioning_status != 'DELETED'):
                    parent = load_balancer_of(row)
                    if row.provisioning_status == 'PENDING_DELETE' or parent is not None and parent.id in doomed:
                        found.append({'id': row.id, 'provisioning_status': 'DELETED'})
                    elif row.provisioning_status.startswith('PENDING'):
                        # a member without a monitor is never ONLINE, in the no-op provider as in others
                        up = 'NO_MONITOR' if kind == 'members' else 'ONLINE'
                        found.append({'id': row.id, 'provisioning_status': 'ACTIVE',
                                      'operating_status': up if row.enabled else 'OFFLINE'})
                if found:
                    yield kind, found
        finally:
            session.close()

    def report(self):
        updater = driver_updater.DriverUpdater()
        done = False
        try:
            for kind, found in list(self.pending()):
                answer = updater.update_loadbalancer_status({kind: found})
                done = done or kind == 'loadbalancers'
                if answer['status_code'] != 200:
                    LOG.error('status of %s: %s', kind, answer)
        finally:
            updater.db_session.close()
        return done


REPORTER = None


class LabProviderDriver(driver.NoopProviderDriver):
    def create_vip_port(self, *args, **kwargs):
        # Octavia's API then makes the port in Neutron itself.
        raise exceptions.NotImplementedError(user_fault_string='made by the API', operator_fault_string='')


def reporting(name):
    """The no-op driver's call, then a hint to the reporter."""
    method = getattr(driver.NoopProviderDriver, name)

    def call(self, *args, **kwargs):
        global REPORTER
        answer = method(self, *args, **kwargs)
        if REPORTER is None:
            REPORTER = Reporter()
        REPORTER.called.set()
        return answer
    return call


for _kind in ('loadbalancer', 'listener', 'pool', 'member', 'health_monitor', 'l7policy', 'l7rule'):
    for _verb in ('create', 'update', 'delete'):
        setattr(LabProviderDriver, '%s_%s' % (_kind, _verb), reporting('%s_%s' % (_kind, _verb)))
for _name in ('member_batch_update', 'loadbalancer_failover'):
    setattr(LabProviderDriver, _name, reporting(_name))
