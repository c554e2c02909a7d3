# frozen_string_literal: true

# Writes a BOSH release tarball as `bosh create-release` lays it out, for machines without the bosh command:
# release.MF, jobs/NAME.tgz (job.MF, monit, templates), packages/NAME.tgz (packaging and files), license.tgz (LICENSE, NOTICE).
# The same input gives the same bytes.
#
# Usage: ruby tarball.rb RELEASE_DIRECTORY VERSION TARBALL

require 'digest'
require 'fileutils'
require 'tmpdir'
require 'yaml'

class ReleaseTarball
  def initialize(directory, version)
    @directory = directory
    @version = version
    @name = YAML.safe_load_file(File.join(directory, 'config/final.yml'))['name']
  end

  def write(tarball)
    Dir.mktmpdir do |stage|
      packages = Dir[File.join(@directory, 'packages/*/spec')].sort.map { |spec| package(stage, spec) }
      jobs = Dir[File.join(@directory, 'jobs/*/spec')].sort.map { |spec| job(stage, spec, packages) }
      manifest = { 'name' => @name, 'version' => @version, 'commit_hash' => commit, 'uncommitted_changes' => uncommitted?,
                   'jobs' => jobs, 'packages' => packages, 'license' => license(stage) }
      File.write(File.join(stage, 'release.MF'), YAML.dump(manifest))
      archive(stage, tarball)
    end
  end

  private

  def package(stage, spec_path)
    spec = YAML.safe_load_file(spec_path)
    name = spec.fetch('name')
    Dir.mktmpdir do |content|
      copy(File.join(File.dirname(spec_path), 'packaging'), File.join(content, 'packaging'), 0o644)
      spec.fetch('files').each do |pattern|
        matches = %w[src blobs].flat_map { |root| Dir.glob(File.join(@directory, root, pattern)).map { |f| [root, f] } }
        abort "package #{name}: no file matches #{pattern} below src or blobs; bosh/build lays them there" if matches.empty?
        matches.each do |root, file|
          inside = file.delete_prefix("#{File.join(@directory, root)}/")
          copy(file, File.join(content, inside), File.executable?(file) ? 0o755 : 0o644)
        end
      end
      entry(name, content, File.join(stage, 'packages', "#{name}.tgz")).merge('dependencies' => spec['dependencies'] || [])
    end
  end

  def job(stage, spec_path, packages)
    spec = YAML.safe_load_file(spec_path)
    name = spec.fetch('name')
    missing = (spec['packages'] || []) - packages.map { |p| p['name'] }
    abort "job #{name}: there is no package #{missing.join(', ')}" unless missing.empty?
    Dir.mktmpdir do |content|
      copy(spec_path, File.join(content, 'job.MF'), 0o644)
      copy(File.join(File.dirname(spec_path), 'monit'), File.join(content, 'monit'), 0o644)
      spec.fetch('templates').each_key do |template|
        copy(File.join(File.dirname(spec_path), 'templates', template), File.join(content, 'templates', template), 0o644)
      end
      entry(name, content, File.join(stage, 'jobs', "#{name}.tgz")).merge('packages' => spec['packages'] || [])
    end
  end

  def license(stage)
    Dir.mktmpdir do |content|
      copy(File.join(@directory, 'LICENSE'), File.join(content, 'LICENSE'), 0o644)
      # The licences of what the executables contain; bosh/build writes it.
      notice = File.join(@directory, 'NOTICE')
      copy(notice, File.join(content, 'NOTICE'), 0o644) if File.exist?(notice)
      entry('license', content, File.join(stage, 'license.tgz')).except('name')
    end
  end

  # The fingerprint tells versions of one job or package apart: names, modes and contents, ours, not bosh's own sum.
  def entry(name, content, tgz)
    files = Dir.glob('**/*', base: content).select { |f| File.file?(File.join(content, f)) }.sort
    sums = files.map { |f| "#{f} #{File.stat(File.join(content, f)).mode.to_s(8)} #{Digest::SHA256.file(File.join(content, f))}" }
    fingerprint = Digest::SHA256.hexdigest(sums.join("\n"))
    FileUtils.mkdir_p(File.dirname(tgz))
    archive(content, tgz)
    { 'name' => name, 'version' => fingerprint, 'fingerprint' => fingerprint, 'sha1' => "sha256:#{Digest::SHA256.file(tgz)}" }
  end

  def copy(from, to, mode)
    FileUtils.mkdir_p(File.dirname(to))
    FileUtils.cp(from, to)
    File.chmod(mode, to)
  end

  def archive(directory, tgz)
    File.chmod(0o755, directory)
    ok = system({ 'TZ' => 'UTC' }, 'tar', '--create', '--file', tgz, '--use-compress-program', 'gzip -n -9', '--sort=name',
                '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '--directory', directory, '.')
    abort "tar could not write #{tgz}" unless ok
  end

  def git(*arguments) = IO.popen(['git', '-C', @directory, *arguments], err: File::NULL, &:read).strip

  def commit
    hash = git('rev-parse', '--short', 'HEAD')
    hash.empty? ? 'unknown' : hash
  end

  def uncommitted? = !git('status', '--porcelain', '--', '.').empty?
end

directory, version, tarball = ARGV
abort "Usage: #{$PROGRAM_NAME} RELEASE_DIRECTORY VERSION TARBALL" unless tarball
ReleaseTarball.new(File.expand_path(directory), version).write(tarball)
