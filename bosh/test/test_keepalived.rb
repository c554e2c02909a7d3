# frozen_string_literal: true

# The job keepalived, rendered with many properties: what it says, that `standfast check` takes it, and that
# bad properties are refused with the property's name and the mend.

require 'minitest/autorun'
require 'open3'
require 'tmpdir'
require_relative 'render'

class KeepalivedJobTest < Minitest::Test
  JOB = BoshRender::Job.new(File.join(__dir__, '../jobs/keepalived'))
  CHECK = ENV.fetch('STANDFAST') { abort 'STANDFAST has to name the executable `standfast`' }

  def instance(index, address, **more)
    { 'name' => 'haproxy', 'index' => index, 'id' => "id-#{index}", 'az' => 'z1', 'bootstrap' => index.zero?,
      'address' => address }.merge(more.transform_keys(&:to_s))
  end

  def peers(*addresses)
    { 'peers' => { 'instances' => addresses.each_with_index.map { |a, i| instance(i, a) }, 'properties' => {} } }
  end

  def render(keepalived, spec: {}, links: {})
    JOB.render(properties: { 'keepalived' => keepalived }, spec: spec, links: links)
  end

  # The configuration with a real interface, after `standfast check` has taken it.
  def config(keepalived, spec: {}, links: {})
    text = render(keepalived, spec: spec, links: links)['config/keepalived.config.template']
    text = text.sub('interface auto', 'interface eth0')
    Dir.mktmpdir do |directory|
      path = File.join(directory, 'keepalived.config')
      File.write(path, text)
      said, status = Open3.capture2e(CHECK, 'check', '--elsewhere', path)
      assert status.success?, "standfast check refuses what #{keepalived} renders:\n#{said}\n#{text}"
      refute_match(/^error/, said)
    end
    text.lines.map(&:strip).reject(&:empty?)
  end

  def refused(keepalived, *expected, spec: {}, links: {})
    error = assert_raises(BoshRender::RenderError, "#{keepalived} was taken") { render(keepalived, spec: spec, links: links) }
    expected.each { |text| assert_includes error.message, text }
  end

  VIP = { 'vip' => '10.0.0.100' }.freeze

  def block(lines, opening)
    from = lines.index("#{opening} {") or return nil
    lines[(from + 1)...(from + lines[from..].index('}'))]
  end

  def test_haproxy_boshreleases_properties_mean_what_they_meant
    lines = config(VIP)
    ['router_id haproxy', 'vrrp_script check_haproxy {', 'interval 2', 'weight 2', 'vrrp_instance haproxy_check_haproxy {',
     'priority 101', 'interface eth0', 'virtual_router_id 1', 'version 2', 'advert_int 1'].each { |l| assert_includes lines, l }
    assert_equal ['10.0.0.100'], block(lines, 'virtual_ipaddress')
    assert_nil block(lines, 'unicast_peer')
    refute(lines.any? { |l| l.start_with?('state', 'nopreempt', 'dont_track_primary') })
    assert_includes config(VIP, spec: { 'bootstrap' => false, 'index' => 1 }), 'priority 100'

    lines = config(VIP.merge('healthcheck_name' => 'mine', 'healthcheck_command' => 'killall -0 haproxy',
                             'interface' => 'ens4', 'virtual_router_id' => 77, 'dont_track_primary' => true),
                   spec: { 'name' => 'router' })
    ['vrrp_script mine {', 'vrrp_instance router_mine {', 'interface ens4', 'virtual_router_id 77', 'dont_track_primary',
     'user root'].each { |l| assert_includes lines, l }
  end

  def test_the_documentations_other_name_for_the_address
    assert_equal ['10.0.0.100'], block(config({ 'ip' => '10.0.0.100' }), 'virtual_ipaddress')
  end

  def test_the_command_runs_in_a_shell_as_it_stands
    command = %q(test "$(cat '/tmp/a b' | wc -l)" = 3 && killall -0 haproxy)
    script = render(VIP.merge('healthcheck_command' => command))['bin/healthcheck']
    assert_includes script.lines.map(&:chomp), command
    refute_includes script, '/proc/'
  end

  def test_several_addresses_of_both_families
    lines = config(VIP.merge('additional_vips' => ['10.0.0.101/24', 'fd00::100/64']))
    assert_equal ['10.0.0.100', '10.0.0.101/24'], block(lines, 'virtual_ipaddress')
    assert_equal ['fd00::100/64'], block(lines, 'virtual_ipaddress_excluded')
  end

  def test_more_addresses_than_an_advert_should_name
    many = (1..40).map { |n| "10.0.1.#{n}" }
    lines = config(VIP.merge('additional_vips' => many))
    assert_equal 20, block(lines, 'virtual_ipaddress').size
    assert_equal 21, block(lines, 'virtual_ipaddress_excluded').size
  end

  def test_ipv6_alone_is_version_3
    assert_includes config({ 'vip' => 'fd00::100' }), 'version 3'
    assert_includes config({ 'vip' => 'fd00::100/64', 'additional_vips' => ['10.0.0.100'] }), 'version 3'
  end

  def test_peers_come_from_the_link_and_make_it_unicast
    lines = config(VIP, links: peers('10.0.0.1', '10.0.0.2', '10.0.0.3'), spec: { 'id' => 'id-1', 'ip' => '10.0.0.2' })
    assert_equal ['10.0.0.1', '10.0.0.3'], block(lines, 'unicast_peer')
    assert_includes lines, 'unicast_src_ip 10.0.0.2'
  end

  def test_the_link_of_a_single_instance_leaves_it_multicast
    assert_nil block(config(VIP, links: peers('10.0.0.1')), 'unicast_peer')
  end

  def test_multicast_when_asked_for
    assert_nil block(config(VIP.merge('mode' => 'multicast'), links: peers('10.0.0.1', '10.0.0.2')), 'unicast_peer')
    # Names do no harm there.
    config(VIP.merge('mode' => 'multicast'), links: peers('a.bosh', 'b.bosh'))
  end

  def test_named_peers_are_taken_before_the_links
    lines = config(VIP.merge('unicast_peers' => ['10.0.0.1', '10.0.0.9']), links: peers('10.0.0.1', '10.0.0.2'))
    assert_equal ['10.0.0.9'], block(lines, 'unicast_peer')
  end

  def test_ipv6_peers
    lines = config({ 'vip' => 'fd00::100' }, links: peers('fd00::1', 'fd00::2'), spec: { 'ip' => 'fd00::1' })
    assert_equal ['fd00::2'], block(lines, 'unicast_peer')
  end

  def test_every_interval_and_version
    assert_includes config(VIP.merge('advert_interval' => 0.1)), 'version 3'
    assert_includes config(VIP.merge('advert_interval' => 0.1)), 'advert_int 0.1'
    assert_includes config(VIP.merge('advert_interval' => 2, 'version' => 3)), 'version 3'
    assert_includes config(VIP.merge('advert_interval' => 2.0)), 'advert_int 2'
    config(VIP.merge('advert_interval' => 40.95))
    config(VIP.merge('advert_interval' => 255))
  end

  def test_election
    lines = config(VIP.merge('preempt' => false))
    assert_includes lines, 'nopreempt'
    assert_includes lines, 'weight 0'
    lines = config(VIP.merge('preempt_delay' => 5, 'priority' => 150, 'healthcheck_weight' => -60))
    ['preempt_delay 5', 'priority 150', 'weight -60'].each { |l| assert_includes lines, l }
  end

  def test_announcements_and_check_intervals
    lines = config(VIP.merge('garp_refresh' => 30, 'garp_repeat' => 3, 'healthcheck_interval' => 0.5,
                             'healthcheck_timeout' => 1, 'healthcheck_rise' => 2, 'healthcheck_fall' => 3,
                             'healthcheck_user' => 'nobody'))
    ['garp_master_refresh 30', 'garp_master_repeat 3', 'interval 0.5', 'timeout 1', 'rise 2', 'fall 3', 'user nobody']
      .each { |l| assert_includes lines, l }
    assert_includes config(VIP.merge('garp_refresh' => 0)), 'garp_master_refresh 0'
  end

  # Every combination of what interacts: all of it has to be taken by `standfast check`.
  def test_combinations
    vips = [VIP, VIP.merge('additional_vips' => ['fd00::100/64']), { 'vip' => 'fd00::100' }]
    modes = %w[auto multicast]
    rest = [{}, { 'advert_interval' => 0.2 }, { 'preempt' => false }, { 'healthcheck_command' => 'true' },
            { 'healthcheck_url' => 'http://127.0.0.1:8080/health' }]
    vips.product(modes, rest, [0, 1]).each do |vip, mode, more, index|
      own = vip['vip'].include?(':') ? %w[fd00::1 fd00::2] : %w[10.0.0.1 10.0.0.2]
      config(vip.merge('mode' => mode).merge(more), links: peers(*own),
             spec: { 'id' => "id-#{index}", 'index' => index, 'bootstrap' => index.zero?, 'ip' => own[index] })
    end
  end

  def test_bad_addresses
    refused({}, "'keepalived.vip' is missing", '10.0.0.100')
    refused({ 'vip' => '10.0.0' }, "'keepalived.vip'", '"10.0.0"', 'set an IPv4 or IPv6 address')
    refused({ 'vip' => 'lb.example.org' }, "'keepalived.vip'")
    refused({ 'vip' => '10.0.0.100/33' }, "'keepalived.vip'", '1 to 32')
    refused({ 'vip' => '10.0.0.100/' }, "'keepalived.vip'")
    refused({ 'vip' => ['10.0.0.100'] }, "'keepalived.vip'")
    refused(VIP.merge('additional_vips' => '10.0.0.101'), "'keepalived.additional_vips'", 'list')
    refused(VIP.merge('additional_vips' => ['10.0.0.100/24']), "'keepalived.additional_vips'", 'once')
    refused(VIP.merge('additional_vips' => [nil]), "'keepalived.additional_vips'")
    refused(VIP.merge('interface' => "eth0\n}"), "'keepalived.interface'", 'eth0, or auto')
    refused(VIP.merge('interface' => 'a' * 16), "'keepalived.interface'")
  end

  def test_bad_numbers
    [['virtual_router_id', 0], ['virtual_router_id', 256], ['virtual_router_id', '1'], ['priority', 255],
     ['priority', 254], ['advert_interval', 0], ['advert_interval', '1'], ['advert_interval', 256], ['version', 4],
     ['garp_refresh', -1], ['garp_repeat', 0], ['preempt_delay', -1], ['healthcheck_interval', 0],
     ['healthcheck_timeout', nil.to_s], ['healthcheck_rise', 0], ['healthcheck_fall', 1.5], ['healthcheck_weight', 254],
     ['drain_timeout', 0], ['start_timeout', 'soon'], ['preempt', 'no'], ['dont_track_primary', 'yes'],
     ['healthcheck_name', 'a b'], ['healthcheck_user', 'root; x'], ['healthcheck_command', ' '],
     ['healthcheck_url', 'https://127.0.0.1/'], ['healthcheck_url', 'http:'], ['healthcheck_url', 'x http://a/'],
     ['healthcheck_url', 8080], ['mode', 'broadcast']].each do |key, value|
      refused(VIP.merge(key => value), "'keepalived.#{key}'")
    end
  end

  def test_what_does_not_go_together
    refused(VIP.merge('version' => 2, 'advert_interval' => 0.5), "'keepalived.advert_interval'", 'set keepalived.version to 3')
    refused(VIP.merge('version' => 3, 'advert_interval' => 41), "'keepalived.advert_interval'", '40.95')
    refused({ 'vip' => 'fd00::100', 'version' => 2 }, "'keepalived.version'", 'IPv6 needs version 3')
    refused(VIP.merge('preempt' => false, 'healthcheck_weight' => 2), "'keepalived.healthcheck_weight'", 'preempt')
    refused(VIP.merge('mode' => 'unicast'), "'keepalived.mode'", 'no other instance')
    refused(VIP, "Link 'peers'", 'ip_addresses: true', links: peers('a.bosh', 'b.bosh'))
    refused({ 'vip' => 'fd00::100' }, 'other family', 'additional_vips', links: peers('10.0.0.1', '10.0.0.2'))
    refused(VIP.merge('healthcheck_command' => 'true', 'healthcheck_url' => 'http://127.0.0.1/'), "'keepalived.healthcheck_url'")
  end

  def test_scripts_are_good_shell
    rendered = render(VIP.merge('healthcheck_url' => "http://127.0.0.1:8080/it's?a=1&b=%20", 'drain_timeout' => 7))
    rendered.select { |name, _| name.start_with?('bin/') }.each do |name, text|
      assert text.start_with?("#!/bin/bash\n"), name
      said, status = Open3.capture2e('shellcheck', '--severity', 'warning', '-', stdin_data: text)
      assert status.success?, "#{name}: #{said}"
    end
    assert_includes rendered['bin/drain'], 'timeout 7'
  end
end
