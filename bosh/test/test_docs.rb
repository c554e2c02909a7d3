# frozen_string_literal: true

# The samples of docs/bosh.md: they parse, and they fit a manifest as operators have it and the jobs of this release.

require 'minitest/autorun'
require_relative 'render'

class DocsTest < Minitest::Test
  ROOT = File.expand_path('../..', __dir__)
  SAMPLES = File.read(File.join(ROOT, 'docs/bosh.md')).scan(/^( *)```yaml\n(.*?)^\1```/m).map { |indent, text| text.gsub(/^#{indent}/, '') }

  # What the samples are applied to: haproxy-boshrelease's job, and the manifest of bosh-deployment.
  def manifest(cpi)
    YAML.safe_load(<<~YAML)
      releases: [{name: haproxy}, {name: bosh-openstack-cpi}]
      instance_groups:
      - name: haproxy
        jobs:
        - {name: haproxy, release: haproxy, properties: {ha_proxy: {}}}
        - {name: keepalived, release: haproxy, properties: {keepalived: {vip: 10.0.0.100, mode: multicast}}}
      - name: bosh
        jobs: [{name: #{cpi}, release: bosh-openstack-cpi}]
      cloud_provider: {template: {name: #{cpi}, release: bosh-openstack-cpi}}
    YAML
  end

  # One operation of an ops file, of the kinds that the samples use: /key, /name=value, /-, and ? for what may be missing.
  def apply(tree, operation)
    *way, last = operation.fetch('path').delete_prefix('/').split('/')
    optional = false
    node = way.reduce(tree) do |at, step|
      optional ||= step.end_with?('?')
      step = step.delete_suffix('?')
      key, value = step.split('=')
      found = value ? at.find { |e| e[key] == value } : at[step]
      found = at[step] = {} if found.nil? && optional
      refute_nil found, "#{operation['path']}: nothing at #{step}"
      found
    end
    optional ||= last.end_with?('?')
    last = last.delete_suffix('?')
    key, value = last.split('=')
    case operation.fetch('type')
    when 'replace'
      if last == '-' then node << operation.fetch('value')
      elsif value then node[node.index { |e| e[key] == value } || flunk(last)] = operation.fetch('value')
      else
        assert optional || node.key?(last), "#{operation['path']}: nothing at #{last}"
        node[last] = operation.fetch('value')
      end
    when 'remove' then assert node.delete(last), operation['path']
    else flunk operation.inspect
    end
  end

  def test_there_are_samples
    assert_operator SAMPLES.size, :>=, 8
  end

  SAMPLES.each_with_index do |text, number|
    define_method("test_sample_#{number + 1}") do
      operations = YAML.safe_load(text)
      assert_kind_of Array, operations
      tree = manifest(text.include?('openstack_cpi_golang') ? 'openstack_cpi_golang' : 'openstack_cpi')
      operations.each do |operation|
        assert_empty operation.keys - %w[type path value]
        apply(tree, operation)
      end
      renders(tree)
    end
  end

  # Jobs that are this release's now render with the properties that they have.
  def renders(tree)
    tree['instance_groups'].flat_map { |g| g['jobs'] }.each do |job|
      next unless job['name'] == 'keepalived'

      spec = BoshRender::Job.new(File.join(ROOT, 'bosh/jobs/keepalived'))
      given = job['properties']['keepalived'].keys.map { |k| "keepalived.#{k}" }
      assert_empty given - spec.spec['properties'].keys
      (job['consumes'] || {}).each_key { |name| assert_includes(spec.spec['consumes'].map { |c| c['name'] }, name) }
      (job['provides'] || {}).each_key { |name| assert_includes(spec.spec['provides'].map { |c| c['name'] }, name) }
      spec.render(properties: job['properties'])
    end
  end
end
