# frozen_string_literal: true

# The release as a whole: its files fit together, and the tarball is what the director and `bosh create-env` read.

require 'digest'
require 'minitest/autorun'
require 'open3'
require 'tmpdir'
require 'yaml'

class ReleaseTest < Minitest::Test
  RELEASE = File.expand_path('..', __dir__)
  EXECUTABLES = { 'standfast' => %w[standfastd standfast], 'openstack_cpi' => %w[openstack_cpi] }.freeze

  # A copy of the release with executables that only have names: the tarball is looked at here, not they.
  def in_copy
    Dir.mktmpdir do |copy|
      FileUtils.cp_r(%w[config jobs packages tarball.rb LICENSE].map { |n| File.join(RELEASE, n) }, copy, dereference_root: true)
      EXECUTABLES.each do |package, names|
        names.each do |name|
          file = File.join(copy, 'src', package, 'bin', name)
          FileUtils.mkdir_p(File.dirname(file))
          File.write(file, "#!/bin/sh\necho #{name}\n")
          File.chmod(0o755, file)
        end
      end
      yield copy
    end
  end

  def tarball(copy, name = 'release.tgz')
    path = File.join(copy, name)
    said, status = Open3.capture2e('ruby', File.join(copy, 'tarball.rb'), copy, '1.2.3', path)
    [path, said, status]
  end

  def unpack(tgz, into)
    FileUtils.mkdir_p(into)
    assert system('tar', '-xzf', tgz, '-C', into), tgz
    into
  end

  def test_specs_monit_files_and_templates_fit_together
    Dir[File.join(RELEASE, 'jobs/*')].each do |job|
      spec = YAML.safe_load_file(File.join(job, 'spec'))
      assert_equal File.basename(job), spec['name']
      assert File.exist?(File.join(job, 'monit')), "#{job} has no monit file"
      assert_equal Dir.children(File.join(job, 'templates')).sort, spec['templates'].keys.sort
      spec['properties'].each { |name, definition| assert_kind_of String, definition['description'], name }
      (spec['provides'] || []).flat_map { |l| l['properties'] || [] }.each { |n| assert spec['properties'].key?(n), n }
      # bosh refuses a property below another one.
      names = spec['properties'].keys
      names.each { |n| assert_empty names.select { |m| m.start_with?("#{n}.") }, n }
    end
  end

  def test_every_template_uses_only_properties_that_its_spec_names
    Dir[File.join(RELEASE, 'jobs/*')].each do |job|
      spec = YAML.safe_load_file(File.join(job, 'spec'))
      text = Dir[File.join(job, 'templates/*')].map { |f| File.read(f) }.join
      used = text.scan(/\b(?:if_)?p\('([a-z_.0-9]+)'/).flatten + text.scan(/call\('(keepalived\.[a-z_]+)'/).flatten
      refute_empty used
      assert_empty used.uniq - spec['properties'].keys, job
      unused = spec['properties'].keys.reject do |name|
        text.include?(name) || text.match?(/\b#{Regexp.escape(name.split('.', 2).last)}\b/)
      end
      assert_empty unused, job
    end
  end

  def test_the_tarball
    in_copy do |copy|
      path, said, status = tarball(copy)
      assert status.success?, said
      root = unpack(path, File.join(copy, 'x'))
      manifest = YAML.safe_load_file(File.join(root, 'release.MF'))
      assert_equal %w[standfast 1.2.3], manifest.values_at('name', 'version')
      assert_equal %w[keepalived openstack_cpi openstack_cpi_golang], (manifest['jobs'].map { |j| j['name'] })
      assert_equal %w[openstack_cpi standfast], (manifest['packages'].map { |p| p['name'] })
      { 'jobs' => 'jobs/%s.tgz', 'packages' => 'packages/%s.tgz' }.each do |kind, place|
        manifest[kind].each do |entry|
          file = File.join(root, format(place, entry['name']))
          assert_equal "sha256:#{Digest::SHA256.file(file)}", entry['sha1']
          refute_empty entry['fingerprint']
          assert_equal entry['version'], entry['fingerprint']
        end
      end
      assert_equal "sha256:#{Digest::SHA256.file(File.join(root, 'license.tgz'))}", manifest['license']['sha1']
      manifest['jobs'].each { |job| looks_like_a_job(unpack(File.join(root, "jobs/#{job['name']}.tgz"), File.join(copy, "j-#{job['name']}")), job) }
    end
  end

  def looks_like_a_job(directory, entry)
    spec = YAML.safe_load_file(File.join(directory, 'job.MF'))
    assert_equal entry['name'], spec['name']
    assert_equal entry['packages'], spec['packages']
    assert File.exist?(File.join(directory, 'monit'))
    assert_equal spec['templates'].keys.sort, Dir.children(File.join(directory, 'templates')).sort
  end

  # As the BOSH agent compiles a package: unpacked, `packaging` run in that folder.
  def test_packages_install_themselves
    in_copy do |copy|
      path, = tarball(copy)
      root = unpack(path, File.join(copy, 'x'))
      EXECUTABLES.each do |package, names|
        source = unpack(File.join(root, "packages/#{package}.tgz"), File.join(copy, "p-#{package}"))
        target = File.join(copy, "installed-#{package}")
        FileUtils.mkdir_p(target)
        said, status = Open3.capture2e({ 'BOSH_INSTALL_TARGET' => target, 'PATH' => '/usr/bin:/bin' }, 'bash', '-x', 'packaging',
                                       chdir: source, unsetenv_others: true)
        assert status.success?, said
        names.each { |name| assert_equal "#{name}\n", Open3.capture2e(File.join(target, 'bin', name)).first }
      end
      assert_equal "standfastd\n", Open3.capture2e(File.join(copy, 'installed-standfast/sbin/keepalived')).first
    end
  end

  def test_the_same_release_gives_the_same_bytes_and_another_does_not
    in_copy do |copy|
      first, second = %w[1.tgz 2.tgz].map { |name| Digest::SHA256.file(tarball(copy, name).first) }
      assert_equal first, second
      File.write(File.join(copy, 'src/standfast/bin/standfast'), 'other')
      refute_equal first, Digest::SHA256.file(tarball(copy, '3.tgz').first)
    end
  end

  def test_a_missing_executable_is_named
    in_copy do |copy|
      FileUtils.rm(File.join(copy, 'src/openstack_cpi/bin/openstack_cpi'))
      _, said, status = tarball(copy)
      refute status.success?
      assert_includes said, 'package openstack_cpi: no file matches openstack_cpi/bin/openstack_cpi'
    end
  end

  def test_build_refuses_what_is_missing_or_not_static
    Dir.mktmpdir do |binaries|
      said, status = Open3.capture2e(File.join(RELEASE, 'build'), binaries, File.join(binaries, 'out'))
      refute status.success?
      assert_includes said, 'standfastd is missing'
      FileUtils.cp('/usr/bin/env', File.join(binaries, 'standfastd'))
      said, status = Open3.capture2e(File.join(RELEASE, 'build'), binaries, File.join(binaries, 'out'))
      refute status.success?
      assert_includes said, 'is not static'
    end
  end
end
