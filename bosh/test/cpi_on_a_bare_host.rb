# frozen_string_literal: true

# See cpi_on_a_bare_host. The name server and Keystone's ear are stand-ins: what is looked at is the name.

require 'fileutils'
require 'json'
require 'open3'
require 'socket'
require 'timeout'
require 'tmpdir'

EXECUTABLE = ARGV.fetch(0)
NAME = 'keystone.example.test'

# A name server that knows one name.
Thread.new do
  server = UDPSocket.new
  server.bind('127.0.0.1', 53)
  loop do
    query, from = server.recvfrom(512)
    question = query[12..]
    length = question.index("\0".b) + 5
    labels = question[0...(length - 5)].gsub(/[\x00-\x1f]/n) { '.' }.delete_prefix('.')
    ipv4 = question[length - 4, 2] == "\0\1".b
    known = labels == NAME
    header = query[0, 2] + [known ? 0x8180 : 0x8183, 1, known && ipv4 ? 1 : 0, 0, 0].pack('n5')
    answer = known && ipv4 ? "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1".b : ''.b
    server.send(header + question[0, length] + answer, 0, from[3], from[1])
  end
end

# Whoever comes here has found the name. It hears what was wanted, and is turned away.
heard = Queue.new
keystone = TCPServer.new('127.0.0.1', 5000)
Thread.new do
  loop do
    socket = keystone.accept
    head = +''
    while (line = socket.gets) && line != "\r\n" do head << line end
    body = socket.read(head[/content-length: (\d+)/i, 1].to_i)
    heard << "#{head}#{body}"
    text = JSON.dump('error' => { 'code' => 401, 'message' => 'turned away', 'title' => 'Unauthorized' })
    socket.write("HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: #{text.size}\r\nConnection: close\r\n\r\n#{text}")
    socket.close
  end
end

config = { 'cloud' => { 'plugin' => 'openstack', 'properties' => { 'openstack' => {
  'auth_url' => "http://#{NAME}:5000/v3", 'username' => 'u', 'api_key' => 'p', 'project' => 'pr', 'domain' => 'd',
  'default_key_name' => 'k', 'default_security_groups' => ['g'], 'connection_options' => { 'connect_timeout' => 2 }
}, 'agent' => {} } } }
request = { 'method' => 'has_vm', 'arguments' => ['b7b7e2b2-0000-4000-8000-000000000000'], 'api_version' => 2,
            'context' => { 'director_uuid' => 'd', 'vm' => { 'stemcell' => { 'api_version' => 3 } } } }

cases = {
  '/etc/hosts' => ["hosts: files\n", "127.0.0.1 #{NAME}\n"],
  'a name server' => ["hosts: files dns\n", ''],
  'a name server, no nsswitch.conf' => [nil, ''],
  "a name server, Ubuntu's nsswitch.conf" => ["hosts: files mdns4_minimal [NOTFOUND=return] resolve [!UNAVAIL=return] dns myhostname\n", '']
}
cases.each do |name, (nsswitch, hosts)|
  Dir.mktmpdir do |root|
    FileUtils.mkdir_p(File.join(root, 'etc'))
    FileUtils.mkdir_p(File.join(root, 'tmp'))
    FileUtils.cp(EXECUTABLE, File.join(root, 'openstack_cpi'))
    File.write(File.join(root, 'etc/nsswitch.conf'), nsswitch) if nsswitch
    File.write(File.join(root, 'etc/hosts'), hosts)
    File.write(File.join(root, 'etc/resolv.conf'), "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    File.write(File.join(root, 'cpi.json'), JSON.dump(config))
    heard.clear
    out, err, = Timeout.timeout(60) do
      Open3.capture3({}, 'chroot', root, '/openstack_cpi', '--config', '/cpi.json', stdin_data: JSON.dump(request), unsetenv_others: true)
    end
    abort "FAILED: by #{name}: Keystone heard nothing\n#{out}\n#{err}" if heard.empty?
    wanted = heard.pop
    abort "FAILED: by #{name}: Keystone heard #{wanted}" unless wanted.start_with?('POST /v3/auth/tokens') && wanted.match?(/^host: #{NAME}:5000/i)
    answer = JSON.parse(out)
    abort "FAILED: by #{name}: #{out}" unless answer['error'] && answer['log'].is_a?(String)
    puts "ok: Keystone is found by #{name}"
  end
end
