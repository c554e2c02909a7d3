#!/usr/bin/env ruby
# frozen_string_literal: true

# Licences of the dependencies, from `cargo metadata` (no network beyond what cargo needs to know its crates).
#
#   licences.rb check                  every dependency's licence is on deny.toml's list, and has a source we allow
#   licences.rb notices CRATE...       the licence texts that an executable made of these crates has to carry
#
# `make deny` runs the whole of cargo-deny; this is what `make lint` can afford.

require 'json'
require 'open3'

ROOT = File.expand_path('..', __dir__)

# Whether an SPDX expression is satisfied by a list of licences.
class Expression
  def initialize(text, allowed)
    # `MIT/Apache-2.0` is how it was written before SPDX.
    @tokens = text.gsub('/', ' OR ').gsub(/([()])/, ' \1 ').split
    @allowed = allowed
  end

  def satisfied?
    result = any
    raise "not an SPDX expression: #{@tokens.join(' ')} is left over" unless @tokens.empty?

    result
  end

  private

  def any
    result = all
    # Both sides are read, whatever the first says.
    while take('OR') do result = all | result end
    result
  end

  def all
    result = one
    while take('AND') do result = one & result end
    result
  end

  def one
    if take('(')
      result = any
      raise 'not an SPDX expression: ) is missing' unless take(')')
      return result
    end
    name = @tokens.shift or raise 'not an SPDX expression: a licence is missing'
    name += " WITH #{@tokens.shift}" if take('WITH')
    @allowed.include?(name)
  end

  def take(token) = @tokens.first == token && @tokens.shift
end

def metadata(*more)
  out, err, status = Open3.capture3(ENV.fetch('CARGO', 'cargo'), 'metadata', '--format-version', '1', '--locked', *more, chdir: ROOT)
  abort "licences: cargo metadata failed:\n#{err}" unless status.success?
  JSON.parse(out)
end

def allowed
  text = File.read(File.join(ROOT, 'deny.toml'))[/^\[licenses\].*?^allow = \[(.*?)\]/m, 1] or
    abort 'licences: deny.toml has no [licenses] allow = [...]'
  text.scan(/"([^"]+)"/).flatten
end

def check
  list = allowed
  bad = metadata['packages'].reject { |package| package['source'].nil? }.filter_map do |package|
    what = "#{package['name']} #{package['version']}"
    begin
      if !package['source'].to_s.start_with?('registry+')
        "#{what} comes from #{package['source']}: take it from cargo's own registry, or argue for the source in deny.toml and here"
      elsif package['license'].nil?
        "#{what} names no licence: replace it"
      elsif !Expression.new(package['license'], list).satisfied?
        "#{what} is #{package['license']}: replace it, or argue for the licence in deny.toml"
      end
    rescue RuntimeError => e
      "#{what}: #{package['license']}: #{e.message}"
    end
  end
  bad.each { |line| warn "licences: #{line}" }
  exit 1 unless bad.empty?
end

def notices(crates)
  host = Open3.capture2('rustc', '-vV').first[/^host: (.*)/, 1]
  data = metadata('--filter-platform', host)
  packages = data['packages'].to_h { |package| [package['id'], package] }
  nodes = data['resolve']['nodes'].to_h { |node| [node['id'], node] }
  queue = packages.values.select { |package| package['source'].nil? && crates.include?(package['name']) }.map { |package| package['id'] }
  missing = crates - queue.map { |id| packages[id]['name'] }
  abort "licences: no crate is named #{missing.join(', ')}" unless missing.empty?
  seen = {}
  while (id = queue.shift)
    next if seen[id]

    seen[id] = true
    nodes[id]['deps'].each do |dependency|
      queue << dependency['pkg'] if dependency['dep_kinds'].any? { |kind| kind['kind'].nil? }
    end
  end
  texts = Hash.new { |hash, key| hash[key] = [] }
  seen.keys.map { |key| packages[key] }.reject { |package| package['source'].nil? }.each do |package|
    files = Dir[File.join(File.dirname(package['manifest_path']), '{LICEN[SC]E,COPYING,COPYRIGHT,NOTICE,UNLICENSE}*')].select { |f| File.file?(f) }
    what = "#{package['name']} #{package['version']} (#{package['license']})"
    texts["The package carries no text of its own; see #{package['repository']}\n"] << what if files.empty?
    files.sort.each { |file| texts[File.read(file, encoding: 'UTF-8').scrub] << what }
  end
  puts 'The executables contain the Rust packages below, under these licences.'
  texts.sort_by { |_, who| who.min }.each do |text, who|
    puts '', '-' * 78, *who.uniq.sort, '-' * 78, '', text
  end
end

case ARGV.shift
when 'check' then check
when 'notices' then ARGV.empty? ? abort('licences: name crates') : notices(ARGV)
else abort "Usage: #{$PROGRAM_NAME} check | notices CRATE..."
end
