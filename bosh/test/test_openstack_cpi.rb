# frozen_string_literal: true

# The jobs openstack_cpi and openstack_cpi_golang: what config/cpi.json says, what bin/cpi runs, and, where the
# executable has been built (OPENSTACK_CPI), its answer to `info` in the environment that the director gives.

require 'minitest/autorun'
require 'open3'
require 'tmpdir'
require_relative 'render'

class OpenstackCpiJobTest < Minitest::Test
  DIRECTORIES = %w[openstack_cpi openstack_cpi_golang].to_h { |n| [n, File.join(__dir__, '../jobs', n)] }
  JOB = BoshRender::Job.new(DIRECTORIES['openstack_cpi'])
  LEAST = { 'auth_url' => 'https://keystone.example.org:5000/v3', 'default_key_name' => 'bosh',
            'default_security_groups' => ['bosh'] }.freeze
  USER = LEAST.merge('username' => 'u', 'api_key' => 'p', 'project' => 'pr', 'domain' => 'd').freeze
  PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

  def properties(openstack = {}, **more)
    { 'openstack' => USER.merge(openstack) }.merge(more.transform_keys(&:to_s))
  end

  def cpi_json(given) = JSON.parse(JOB.render(properties: given)['config/cpi.json'])['cloud']['properties']

  def refused(given, *expected)
    error = assert_raises(BoshRender::RenderError) { JOB.render(properties: given) }
    expected.each { |text| assert_includes error.message, text }
  end

  def test_both_jobs_are_the_same_but_for_the_name
    specs = DIRECTORIES.values.map { |d| YAML.safe_load_file(File.join(d, 'spec')) }
    assert_equal(*specs.map { |s| s.reject { |k, _| %w[name description].include?(k) } })
    assert_equal DIRECTORIES.keys, (specs.map { |s| s['name'] })
    assert_equal(*DIRECTORIES.values.map { |d| Dir[File.join(d, '{monit,templates/*}')].sort.to_h { |f| [File.basename(f), File.read(f)] } })
  end

  def test_the_names_and_defaults_of_upstreams_job
    expected = { 'openstack.endpoint_type' => 'publicURL', 'openstack.state_timeout' => 300,
                 'openstack.wait_resource_poll_interval' => 5, 'openstack.boot_from_volume' => false,
                 'openstack.stemcell_public_visibility' => false, 'openstack.use_dhcp' => true,
                 'openstack.ignore_server_availability_zone' => false, 'openstack.human_readable_vm_names' => false,
                 'openstack.use_nova_networking' => false, 'registry.port' => 25_777, 'nats.port' => 4222 }
    without = %w[auth_url username api_key application_credential_id application_credential_secret tenant project project_id
                 domain region connection_options default_key_name default_security_groups default_volume_type config_drive
                 enable_auto_anti_affinity user_domain_name project_domain_name].map { |n| "openstack.#{n}" } +
              %w[registry.host registry.username registry.password registry.endpoint ntp agent.mbus nats.user nats.password
                 nats.address env.http_proxy env.https_proxy env.no_proxy]
    defaults = JOB.spec['properties'].transform_values { |d| d['default'] }
    assert_equal expected, defaults.compact
    assert_equal without.sort, defaults.select { |_, d| d.nil? }.keys.sort
  end

  def test_what_is_given_is_there_and_what_is_not_is_not
    got = cpi_json(properties)
    assert_equal %w[openstack], got.keys
    assert_equal 300, got['openstack']['state_timeout']
    refute got['openstack'].key?('region')
    got = cpi_json(properties({ 'region' => 'R', 'connection_options' => { 'read_timeout' => 9 }, 'config_drive' => 'disk',
                                'default_volume_type' => 'SSD', 'use_dhcp' => false }, ntp: ['a']))
    assert_equal ['R', { 'read_timeout' => 9 }, 'disk', 'SSD', false],
                 got['openstack'].values_at('region', 'connection_options', 'config_drive', 'default_volume_type', 'use_dhcp')
    assert_equal({ 'ntp' => ['a'] }, got['agent'])
  end

  def test_the_message_bus
    nats = { 'user' => 'n', 'password' => 'secret', 'address' => '10.0.0.6' }
    assert_equal 'nats://n:secret@10.0.0.6:4222', cpi_json(properties(nats: nats))['agent']['mbus']
    got = cpi_json(properties(nats: nats, agent: { 'mbus' => 'https://m:x@10.0.0.6:6868' }))
    assert_equal 'https://m:x@10.0.0.6:6868', got['agent']['mbus']
  end

  def test_the_registry
    registry = { 'host' => '10.0.0.6', 'username' => 'r', 'password' => 'x' }
    assert_equal({ 'user' => 'r', 'password' => 'x', 'address' => '10.0.0.6', 'endpoint' => 'http://10.0.0.6:25777' },
                 cpi_json(properties(registry: registry))['registry'])
    readable = { 'human_readable_vm_names' => true }
    refused(properties(readable, registry: registry), "Property 'human_readable_vm_names' can only be used together with " \
                                                      "'registry.endpoint'. Please refer to http://bosh.io/docs/openstack-registry.html.")
    cpi_json(properties(readable, registry: registry.merge('host' => '127.0.0.1')))
    cpi_json(properties(readable, registry: registry.merge('port' => 6901)))
    cpi_json(properties(readable, registry: registry.merge('endpoint' => 'http://r:x@10.0.0.6:25777')))
    cpi_json(properties(readable))
  end

  def test_credentials_may_come_with_each_call
    refute cpi_json('openstack' => LEAST)['openstack'].key?('username')
  end

  def test_certificates
    assert_equal PEM.strip, JOB.render(properties: properties({ 'connection_options' => { 'ca_cert' => PEM } }))['config/cacert.pem'].strip
    assert_empty JOB.render(properties: properties)['config/cacert.pem'].strip
  end

  def test_bad_properties
    %w[auth_url default_key_name default_security_groups].each do |key|
      refused({ 'openstack' => USER.reject { |k, _| k == key } }, "Can't find property 'openstack.#{key}'")
    end
    [['auth_url', 'keystone:5000', 'https://'], ['auth_url', 'http://k:5000/v2.0', 'version 2 is gone'],
     ['state_timeout', '300', 'number of seconds'], ['wait_resource_poll_interval', 0, 'number of seconds'],
     ['endpoint_type', 'public', 'publicURL'], ['config_drive', 'usb', 'cdrom or disk'], ['use_dhcp', 'yes', 'true or false'],
     ['connection_options', 'ca', 'keys and values'], ['default_security_groups', 'bosh', 'list'],
     ['use_nova_networking', true, 'gone']].each do |key, value, mend|
      refused(properties({ key => value }), "'openstack.#{key}'", mend)
    end
    refused(properties({ 'enable_auto_anti_affinity' => false }),
            "Property 'enable_auto_anti_affinity' is no longer supported. Please remove it from your configuration.")
  end

  # bin/cpi with an executable in its place that prints what it was given. A stand-in: only it can show that.
  def test_bin_cpi_hands_over_files_input_and_proxies
    in_release('openstack_cpi', properties({ 'connection_options' => { 'ca_cert' => PEM } },
                                           env: { 'http_proxy' => "http://u:p$'@x:1/", 'no_proxy' => '10.0.0.1' })) do |root, call|
      executable = File.join(root, 'packages/openstack_cpi/bin/openstack_cpi')
      File.write(executable, "#!/bin/bash\nprintf '%s\\n' \"$@\" ; env | sort; cat\n")
      File.chmod(0o755, executable)
      out, = call.call('{"method":"info"}')
      config = File.join(root, 'jobs/openstack_cpi/config')
      assert_equal ['--config', "#{config}/cpi.json", '--ca-cert', "#{config}/cacert.pem"], out.lines(chomp: true).first(4)
      ["HTTP_PROXY=http://u:p$'@x:1/", "http_proxy=http://u:p$'@x:1/", 'NO_PROXY=10.0.0.1', 'no_proxy=10.0.0.1']
        .each { |line| assert_includes out.lines(chomp: true), line }
      assert out.end_with?('{"method":"info"}')
    end
  end

  DIRECTORIES.each_key do |name|
    define_method("test_info_through_bin_cpi_of_#{name}") do
      real = ENV.fetch('OPENSTACK_CPI', '')
      skip 'openstack_cpi has not been built (OPENSTACK_CPI names no file)' unless File.executable?(real)
      in_release(name, properties) do |root, call|
        FileUtils.cp(real, File.join(root, 'packages/openstack_cpi/bin/openstack_cpi'))
        request = { 'method' => 'info', 'arguments' => [], 'context' => { 'director_uuid' => 'd', 'request_id' => 'cpi-123456' } }
        out, status = call.call(JSON.dump(request))
        assert status.success?, out
        answer = JSON.parse(out)
        assert_nil answer['error']
        assert_operator answer['result']['api_version'], :>=, 2
        assert_kind_of String, answer['log']
      end
    end
  end

  # Yields a folder with the job and its package, and a call of bin/cpi as the director makes it: everything out of
  # the environment but PATH, TMPDIR and HOME (and where the folder is, as create-env says it).
  def in_release(name, given)
    Dir.mktmpdir do |root|
      BoshRender::Job.new(DIRECTORIES[name]).install(File.join(root, 'jobs', name), properties: given)
      FileUtils.mkdir_p(File.join(root, 'packages/openstack_cpi/bin'))
      environment = { 'PATH' => '/usr/sbin:/usr/bin:/sbin:/bin', 'TMPDIR' => root, 'HOME' => root,
                      'BOSH_PACKAGES_DIR' => File.join(root, 'packages'), 'BOSH_JOBS_DIR' => File.join(root, 'jobs') }
      call = lambda do |input|
        out, err, status = Open3.capture3(environment, File.join(root, 'jobs', name, 'bin/cpi'),
                                          stdin_data: input, unsetenv_others: true)
        flunk err if err.include?('No such file')
        [out, status]
      end
      yield root, call
    end
  end
end
