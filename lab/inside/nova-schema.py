"""First boot: Nova's schemas and cells.  nova-manage needs a process for each step, most of it imports; this is one."""
import os
import sys

import nova.conf
from nova import config
from nova import objects
from nova.cmd import manage

config.parse_args(['nova-manage', '--config-file', os.path.join(os.environ['LAB_STATE'], 'etc/nova/nova.conf')])
objects.register_all()
database = nova.conf.CONF.database.connection
cells = manage.CellV2Commands()
for step in (manage.ApiDbCommands().sync,
             lambda: cells.map_cell0(database.replace('/nova?', '/nova_cell0?')),
             lambda: cells.create_cell(name='cell1'),
             manage.DbCommands().sync):
    if step():
        sys.exit('nova: a step failed, see above')
