#!/usr/bin/env python3
"""Starts OpenStack's services by forking: most of what each of them does first, reading some thousand modules, is done
once here, before the fork.  It saves 3 to 4 s of processor time for each service, and the memory of the modules.

    launcher.py serve                      loads the modules, then waits at $LAB_STATE/ram/launcher.sock
    launcher.py start LOG PROGRAM ARG...   has PROGRAM (a Python script) started, prints its pid
    launcher.py run LOG PROGRAM ARG...     the same, waits for its end and ends with its exit code

The child is a session of its own, has its output in LOG, and is otherwise as if it had been started by itself: each has
its own copy of oslo.config's global object, and no event loop ran before the fork.
"""
import json
import os
import signal
import socket
import sys

PATH = os.environ['LAB_STATE'] + '/ram/launcher.sock'

# What all services that run on eventlet have in common.
MODULES = '''
    amqp cryptography.fernet jsonschema keystoneauth1.loading keystoneauth1.session keystonemiddleware.auth_token
    kombu openstack oslo_concurrency.processutils oslo_config.cfg oslo_context.context oslo_db.sqlalchemy.enginefacade
    oslo_log.log oslo_messaging oslo_messaging._drivers.impl_rabbit oslo_middleware oslo_policy.policy
    oslo_privsep.daemon oslo_serialization.jsonutils oslo_service.service oslo_service.wsgi oslo_utils.timeutils
    oslo_versionedobjects.base paste.deploy pymysql routes sqlalchemy sqlalchemy.dialects.mysql.pymysql sqlalchemy.orm
    stevedore webob
'''.split()


def ask(what, log, *command):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(PATH)
        s.sendall(json.dumps([what, log, os.getcwd(), dict(os.environ), command]).encode() + b'\n')
        answer = s.makefile().readline().strip()
    if what == 'start':
        print(answer)
    else:
        sys.exit(int(answer or 1))


def serve():
    # All that the parent uses is taken before eventlet replaces it: an event loop must not run before the fork.
    listener = socket.socket(socket.AF_UNIX)
    accept, fork, waitpid, dup2, setsid = listener._accept, os.fork, os.waitpid, os.dup2, os.setsid
    read, write, close = os.read, os.write, os.close
    os.environ['EVENTLET_NO_GREENDNS'] = 'yes'      # as nova asks for it
    import eventlet
    eventlet.monkey_patch()
    import gc
    import importlib
    import setproctitle
    for module in MODULES:
        importlib.import_module(module)
    # Greening the locks that exist makes an event loop that never runs; each child makes its own.
    loop = eventlet.hubs._threadlocal.__dict__.pop('hub', None)
    assert loop is None or not (loop.running or loop.timers or loop.next_timers or any(loop.listeners.values())), 'in use'
    del loop
    gc.freeze()     # the collector would write to pages that are shared
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)   # children are reaped by the kernel
    listener.bind(PATH + '.new')
    listener.listen(32)
    os.rename(PATH + '.new', PATH)
    while True:
        # A bare descriptor: a socket object would be one of eventlet's by now, and make an event loop. Children that
        # inherit one share its epoll, and each is woken by what any of them waits for.
        connection, _ = accept()
        request = b''
        while not request.endswith(b'\n'):
            part = read(connection, 65536)
            if not part:
                break
            request += part
        if not request.endswith(b'\n'):
            close(connection)
            continue
        what, log, directory, environment, command = json.loads(request)
        assert 'hub' not in eventlet.hubs._threadlocal.__dict__, 'an event loop before the fork'
        child = fork()
        if child:
            if what == 'start':
                write(connection, b'%d\n' % child)
            close(connection)
            continue
        close(listener.detach())
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if what == 'run' and (grandchild := fork()):
            write(connection, b'%d\n' % os.waitstatus_to_exitcode(waitpid(grandchild, 0)[1]))
            os._exit(0)
        close(connection)
        setsid()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        null = os.open('/dev/null', os.O_RDONLY)
        dup2(null, 0)
        dup2(out, 1)
        dup2(out, 2)
        close(out)
        close(null)
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(environment)
        setproctitle.setproctitle(' '.join(command))
        return command


if __name__ == '__main__':
    if sys.argv[1] != 'serve':
        ask(*sys.argv[1:])
    else:
        sys.argv = serve()      # returns in the child
        sys.path[0] = os.path.dirname(sys.argv[0])
        import runpy
        runpy.run_path(sys.argv[0], run_name='__main__')
